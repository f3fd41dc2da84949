#include "text/post_processor.hpp"

#include <algorithm>

#include "text/json_fields.hpp"
#include "text/vocabulary.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

TokenId checked_id(const json& value, const std::string& where) {
  const bool integer = value.is_number_integer();
  const int64_t id = integer && !(value.is_number_unsigned() && value.get<uint64_t>() > INT32_MAX)
                         ? value.get<int64_t>()
                         : -1;
  if (id < 0 || id >= kMaxTokens)
    throw Error({"a token id is out of range", where, {}, value.dump().substr(0, 40), {}});
  return static_cast<TokenId>(id);
}

/// The ids of a TemplateProcessing's special token.
std::vector<TokenId> template_ids(const json& processor, const std::string& name, const std::string& where) {
  const json& token = object_field(object_field(processor, "special_tokens", where), name.c_str(), where);
  std::vector<TokenId> ids;
  for (const json& id : array_field(token, "ids", where)) ids.push_back(checked_id(id, where));
  return ids;
}

using Kind = TemplatePart::Kind;

int32_t type_of(const json& part, const std::string& where) {
  const int64_t type = integer_field(part, "type_id", where);
  if (type < 0 || type > INT32_MAX)
    throw Error({"type_id is out of range", where, {}, std::to_string(type), {}});
  return static_cast<int32_t>(type);
}

/// The template "single" or "pair".
std::vector<TemplatePart> read_parts(const json& processor, const char* key, const std::string& where) {
  std::vector<TemplatePart> parts;
  for (const json& entry : array_field(processor, key, where)) {
    TemplatePart& part = parts.emplace_back();
    if (const json& sequence = field_or_null(entry, "Sequence"); !sequence.is_null()) {
      const std::string& id = string_field(sequence, "id", where);
      if (id != "A" && id != "B") throw Error({"a template names an unknown text", where, "A or B", id, {}});
      part.kind = id == "A" ? Kind::kFirst : Kind::kSecond;
      part.type = type_of(sequence, where);
      continue;
    }
    const json& special = object_field(entry, "SpecialToken", where);
    part.ids = template_ids(processor, string_field(special, "id", where), where);
    part.type = type_of(special, where);
  }
  return parts;
}

int64_t count_texts(const std::vector<TemplatePart>& parts, Kind kind) {
  return std::count_if(parts.begin(), parts.end(), [&](const TemplatePart& p) { return p.kind == kind; });
}

PostProcessor read_template(const json& processor, const std::string& where) {
  PostProcessor result;
  const std::vector<TemplatePart> single = read_parts(processor, "single", where);
  if (count_texts(single, Kind::kSecond) != 0)
    throw Error({"the template for one text names a second one", where, {}, {}, {}});
  if (const int64_t texts = count_texts(single, Kind::kFirst); texts != 1)
    throw Error({"the template must hold the text once", where, "1", std::to_string(texts), {}});
  bool before = true;
  for (const TemplatePart& part : single) {
    if (part.kind == Kind::kFirst) {
      before = false;
      result.text_type = part.type;
      continue;
    }
    auto& ids = before ? result.prefix : result.suffix;
    auto& types = before ? result.prefix_types : result.suffix_types;
    ids.insert(ids.end(), part.ids.begin(), part.ids.end());
    types.insert(types.end(), part.ids.size(), part.type);
  }
  if (field_or_null(processor, "pair").is_null()) {
    result.pair_problem = "its TemplateProcessing has no template for pairs";
    return result;
  }
  result.pair = read_parts(processor, "pair", where);
  if (count_texts(result.pair, Kind::kFirst) != 1 || count_texts(result.pair, Kind::kSecond) != 1)
    throw Error({"the template for pairs must hold each text once", where, {}, {}, {}});
  return result;
}

/// ["[SEP]", 102]
TokenId pair_id(const json& processor, const char* key, const std::string& where) {
  const json& pair = array_field(processor, key, where);
  if (pair.size() != 2) throw Error({std::string(key) + " must be a token and its id", where, {}, {}, {}});
  return checked_id(pair[1], where);
}

/// Wraps what earlier processors already put around the text.
void wrap(PostProcessor& inner, PostProcessor outer) {
  if (inner.prefix.empty() && inner.suffix.empty()) {
    inner = std::move(outer);
    return;
  }
  inner.prefix_types.resize(inner.prefix.size());
  outer.prefix_types.resize(outer.prefix.size());
  outer.suffix_types.resize(outer.suffix.size());
  inner.suffix_types.resize(inner.suffix.size());
  const auto join = [](auto& front, const auto& back) {
    front.insert(front.end(), back.begin(), back.end());
  };
  join(outer.prefix, inner.prefix);
  join(outer.prefix_types, inner.prefix_types);
  join(inner.suffix, outer.suffix);
  join(inner.suffix_types, outer.suffix_types);
  inner.prefix = std::move(outer.prefix);
  inner.prefix_types = std::move(outer.prefix_types);
  inner.text_type = outer.text_type;
  // tokenizers itself has no meaning for this: the second processor would be handed more than two parts.
  inner.pair.clear();
  inner.pair_problem = "two of its post-processors add special tokens";
}

void read_processor(const json& processor, const std::string& where, PostProcessor& result) {
  const std::string& type = string_field(processor, "type", where);
  if (type == "Sequence") {
    for (const json& child : array_field(processor, "processors", where))
      read_processor(child, where, result);
  } else if (type == "TemplateProcessing") {
    wrap(result, read_template(processor, where));
  } else if (type == "BertProcessing") {
    wrap(result, PostProcessor::bert(pair_id(processor, "cls", where), pair_id(processor, "sep", where)));
  } else if (type == "RobertaProcessing") {
    wrap(result, PostProcessor::roberta(pair_id(processor, "cls", where), pair_id(processor, "sep", where)));
  } else if (type != "ByteLevel") {  // which only moves offsets
    throw unsupported("post-processor", type, where);
  }
}

void append(Encoding& encoding, const std::vector<TokenId>& ids, int32_t type) {
  encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
  encoding.types.insert(encoding.types.end(), ids.size(), type);
}

}  // namespace

PostProcessor PostProcessor::from_json(const json& object, const std::string& where) {
  PostProcessor result;
  if (!object.is_null()) read_processor(object, where + ": post_processor", result);
  if (result.pair.empty() && result.pair_problem.empty())
    result.pair_problem = "its post-processor adds no special tokens";
  return result;
}

PostProcessor PostProcessor::bert(TokenId cls, TokenId sep) {
  PostProcessor result{.prefix = {cls}, .suffix = {sep}};
  result.pair = {{Kind::kSpecial, {cls}, 0},
                 {Kind::kFirst, {}, 0},
                 {Kind::kSpecial, {sep}, 0},
                 {Kind::kSecond, {}, 1},
                 {Kind::kSpecial, {sep}, 1}};
  return result;
}

PostProcessor PostProcessor::roberta(TokenId cls, TokenId sep, int32_t second_type) {
  PostProcessor result{.prefix = {cls}, .suffix = {sep}};
  result.pair = {{Kind::kSpecial, {cls}, 0},
                 {Kind::kFirst, {}, 0},
                 {Kind::kSpecial, {sep, sep}, 0},
                 {Kind::kSecond, {}, second_type},
                 {Kind::kSpecial, {sep}, second_type}};
  return result;
}

void PostProcessor::repeat_for_pair(int32_t second_type) {
  if (prefix.empty() && suffix.empty()) return;
  pair = {{Kind::kSpecial, prefix, 0},      {Kind::kFirst, {}, 0},
          {Kind::kSpecial, suffix, 0},      {Kind::kSpecial, prefix, second_type},
          {Kind::kSecond, {}, second_type}, {Kind::kSpecial, suffix, second_type}};
}

void PostProcessor::apply(std::vector<TokenId>& ids) const {
  const bool present = ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
  if (!present) ids.insert(ids.begin(), prefix.begin(), prefix.end());
  ids.insert(ids.end(), suffix.begin(), suffix.end());
}

size_t PostProcessor::count_added(bool is_pair) const noexcept {
  if (!is_pair) return prefix.size() + suffix.size();
  size_t count = 0;
  for (const TemplatePart& part : pair) count += part.ids.size();
  return count;
}

Encoding PostProcessor::join_text(const std::vector<TokenId>& ids) const {
  Encoding encoding{prefix, prefix_types};
  encoding.types.resize(prefix.size());
  append(encoding, ids, text_type);
  append(encoding, suffix, 0);
  std::copy(suffix_types.begin(), suffix_types.end(),
            encoding.types.end() - static_cast<std::ptrdiff_t>(suffix.size()));
  return encoding;
}

Encoding PostProcessor::join_pair(const std::vector<TokenId>& first,
                                  const std::vector<TokenId>& second) const {
  Encoding encoding;
  for (const TemplatePart& part : pair) {
    const auto& ids = part.kind == Kind::kFirst ? first : part.kind == Kind::kSecond ? second : part.ids;
    append(encoding, ids, part.type);
  }
  return encoding;
}

}  // namespace assay::text
