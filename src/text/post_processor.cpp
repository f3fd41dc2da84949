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

PostProcessor read_template(const json& processor, const std::string& where) {
  PostProcessor result;
  int texts = 0;
  for (const json& part : array_field(processor, "single", where)) {
    if (const json& sequence = field_or_null(part, "Sequence"); !sequence.is_null()) {
      if (string_field(sequence, "id", where) != "A")
        throw Error({"the template for one text names a second one", where, {}, {}, {}});
      ++texts;
      continue;
    }
    const json& special = object_field(part, "SpecialToken", where);
    const auto ids = template_ids(processor, string_field(special, "id", where), where);
    auto& side = texts == 0 ? result.prefix : result.suffix;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (texts != 1)
    throw Error({"the template must hold the text once", where, "1", std::to_string(texts), {}});
  return result;
}

/// ["[SEP]", 102]
TokenId pair_id(const json& processor, const char* key, const std::string& where) {
  const json& pair = array_field(processor, key, where);
  if (pair.size() != 2) throw Error({std::string(key) + " must be a token and its id", where, {}, {}, {}});
  return checked_id(pair[1], where);
}

/// Wraps what earlier processors already put around the text.
void wrap(PostProcessor& inner, const PostProcessor& outer) {
  inner.prefix.insert(inner.prefix.begin(), outer.prefix.begin(), outer.prefix.end());
  inner.suffix.insert(inner.suffix.end(), outer.suffix.begin(), outer.suffix.end());
}

void read_processor(const json& processor, const std::string& where, PostProcessor& result) {
  const std::string& type = string_field(processor, "type", where);
  if (type == "Sequence") {
    for (const json& child : array_field(processor, "processors", where))
      read_processor(child, where, result);
  } else if (type == "TemplateProcessing") {
    wrap(result, read_template(processor, where));
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    wrap(result, {{pair_id(processor, "cls", where)}, {pair_id(processor, "sep", where)}});
  } else if (type != "ByteLevel") {  // which only moves offsets
    throw unsupported("post-processor", type, where);
  }
}

}  // namespace

PostProcessor PostProcessor::from_json(const json& object, const std::string& where) {
  PostProcessor result;
  if (!object.is_null()) read_processor(object, where + ": post_processor", result);
  return result;
}

void PostProcessor::apply(std::vector<TokenId>& ids) const {
  const bool present = ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
  if (!present) ids.insert(ids.begin(), prefix.begin(), prefix.end());
  ids.insert(ids.end(), suffix.begin(), suffix.end());
}

}  // namespace assay::text
