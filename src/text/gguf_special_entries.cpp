#include <algorithm>
#include <map>

#include "text/gguf_vocabulary.hpp"
#include "text/json_fields.hpp"
#include "text/tokenizer_files.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

/// The state of llama.cpp's SpecialVocab while it reads a checkpoint's files. Its quirks are kept: the order
/// in which keys appear is the order in which it meets them, and a later disagreement loses.
class SpecialVocabulary {
 public:
  SpecialVocabulary(const json& tokenizer, json config, const Pipeline& pipeline)
      : tokenizer_(tokenizer), config_(std::move(config)), pipeline_(pipeline) {}

  void read_normalizer(const json& normalizer) {
    const std::string type = text(normalizer, "type");
    if (type == "Lowercase") lowercase_ = true;
    if (type == "StripAccents") strip_accents_ = true;
    if (type == "BertNormalizer") {
      if (field_or_null(normalizer, "lowercase").is_boolean())
        lowercase_ = normalizer["lowercase"].get<bool>();
      if (field_or_null(normalizer, "strip_accents").is_boolean())
        strip_accents_ = normalizer["strip_accents"].get<bool>();
    }
    if (type == "Sequence")
      for (const json& child : field_or_null(normalizer, "normalizers")) read_normalizer(child);
  }

  /// Which special tokens the post-processor adds.
  void read_post_processor() {
    bos_ = config_token(config_, "bos_token");
    cls_ = config_token(config_, "cls_token");
    eos_ = config_token(config_, "eos_token");
    sep_ = config_token(config_, "sep_token");
    if (bos_.empty() && !cls_.empty()) set_config("bos_token", bos_ = cls_);
    if (eos_.empty() && !sep_.empty()) set_config("eos_token", eos_ = sep_);
    const json& processor = field_or_null(tokenizer_, "post_processor");
    if (processor.is_null()) return;
    if (const json& list = field_or_null(processor, "processors"); list.is_array())
      for (const json& child : list) read_processor(child);
    else
      read_processor(processor);
  }

  void read_config_tokens() {
    if (config_.is_null()) return;
    for (const std::string& role : roles_) {
      const json& add = field_or_null(config_, ("add_" + role + "_token").c_str());
      if (add.is_boolean() && !has_flag(role)) set_flag(role, add.get<bool>());
      const std::string content = config_token(config_, (role + "_token").c_str());
      if (content.empty()) continue;
      if (const auto id = find_added(content)) set_id(role, *id);
    }
  }

  void read_model_config(const json& config) {
    for (const std::string& role : roles_) {
      const std::string key = role + "_token_id";
      const json* id = &field_or_null(config, key.c_str());
      if (id->is_null()) id = &field_or_null(field_or_null(config, "text_config"), key.c_str());
      if (id->is_number_integer() && *id >= 0 && *id < kMaxTokens) set_id(role, id->get<int64_t>());
    }
  }

  std::vector<std::pair<std::string, GgufValue>> entries() const {
    static const std::map<std::string, std::string> kKeys = {
        {"bos", "bos"}, {"eos", "eos"},   {"unk", "unknown"}, {"sep", "seperator"}, {"pad", "padding"},
        {"cls", "cls"}, {"mask", "mask"}, {"eot", "eot"},     {"eom", "eom"}};
    std::vector<std::pair<std::string, GgufValue>> out;
    for (const auto& [role, id] : ids_)
      out.emplace_back("tokenizer.ggml." + kKeys.at(role) + "_token_id",
                       GgufValue::u32(static_cast<uint32_t>(id)));
    for (const auto& [role, add] : flags_)
      if (role == "bos" || role == "eos" || role == "sep")
        out.emplace_back("tokenizer.ggml.add_" + role + "_token", GgufValue::boolean(add));
    if (lowercase_) out.emplace_back("tokenizer.ggml.normalizer.lowercase", GgufValue::boolean(*lowercase_));
    if (strip_accents_)
      out.emplace_back("tokenizer.ggml.normalizer.strip_accents", GgufValue::boolean(*strip_accents_));
    return out;
  }

 private:
  static std::string text(const json& object, const char* key) {
    const json& value = field_or_null(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
  }
  static std::string special_of(const json& part) { return text(field_or_null(part, "SpecialToken"), "id"); }

  void set_config(const char* key, const std::string& content) {
    if (!config_.is_null()) config_[key] = content;
  }
  bool has_flag(const std::string& role) const {
    return std::any_of(flags_.begin(), flags_.end(), [&](const auto& flag) { return flag.first == role; });
  }
  void set_flag(const std::string& role, bool add) {
    for (auto& [name, value] : flags_)
      if (name == role) {
        value = add;
        return;
      }
    flags_.emplace_back(role, add);
  }
  void set_id(const std::string& role, int64_t id) {
    const bool known =
        std::any_of(ids_.begin(), ids_.end(), [&](const auto& entry) { return entry.first == role; });
    if (!known) ids_.emplace_back(role, id);
  }
  std::optional<TokenId> find_added(const std::string& content) const {
    if (const AddedToken* token = pipeline_.added.find(content)) return token->id;
    return tokenizer_.is_null() ? pipeline_.find(content) : std::nullopt;
  }

  void read_processor(const json& processor) {
    const std::string type = text(processor, "type");
    if (type == "ByteLevel") {
      for (const char* role : {"bos", "eos"})
        if (!has_flag(role)) set_flag(role, false);
    } else if (type == "RobertaProcessing") {
      for (const char* role : {"bos", "eos", "sep"}) set_flag(role, true);
      const auto first_of = [&](const char* key, const std::string& fallback) {
        const json& pair = field_or_null(processor, key);
        return pair.is_array() && !pair.empty() && pair[0].is_string() ? pair[0].get<std::string>()
                                                                       : fallback;
      };
      if (cls_.empty()) set_config("cls_token", cls_ = first_of("cls", bos_));
      if (sep_.empty()) set_config("sep_token", sep_ = first_of("sep", eos_));
    } else if (type == "TemplateProcessing") {
      read_template(field_or_null(processor, "single"), field_or_null(processor, "pair"));
    }
  }

  void read_template(const json& single, const json& pair) {
    std::string first, last;
    if (single.is_array() && single.size() > 1) {
      first = special_of(single.front());
      last = special_of(single.back());
      if (!first.empty()) read_first(first);
      if (!last.empty()) read_last(last);
    }
    if (pair.is_array() && !pair.empty()) read_pair(pair, first, last);
  }

  void read_first(const std::string& first) {
    if (config_.is_null()) {
      bos_ = first;
    } else if (first != bos_ && first != cls_) {
      if (bos_.empty()) set_config("bos_token", bos_ = first);
      if (cls_.empty()) set_config("cls_token", cls_ = first);
    }
    set_flag("bos", first == bos_ || first == cls_);
  }

  void read_last(const std::string& last) {
    if (config_.is_null()) {
      eos_ = last;
    } else if (last != eos_) {
      // The old end of text becomes the end of a turn, or of a message.
      for (const char* role : {"eot", "eom"}) {
        if (std::find(roles_.begin(), roles_.end(), role) != roles_.end()) continue;
        roles_.emplace_back(role);
        set_config((std::string(role) + "_token").c_str(), eos_);
        break;
      }
      set_config("eos_token", eos_ = last);
    }
    set_flag("eos", last == eos_);
  }

  /// Whether a separator stands between two texts.
  void read_pair(const json& pair, const std::string& first, const std::string& last) {
    size_t begin = !first.empty() && special_of(pair.front()) == first ? 1 : 0;
    size_t end = pair.size() - (!last.empty() && special_of(pair.back()) == last ? 1 : 0);
    if (begin >= end) return;
    const bool a = text(field_or_null(pair[begin], "Sequence"), "id") == "A";
    const bool b = text(field_or_null(pair[end - 1], "Sequence"), "id") == "B";
    ++begin, --end;
    if (!a || !b || begin >= end) return;
    const auto separates = [&](const json& part) {
      const std::string token = special_of(part);
      return !token.empty() && (token == sep_ || token == eos_);
    };
    bool add = separates(pair[begin]) && last.empty();
    if (end - begin == 2) add |= separates(pair[begin + 1]);
    set_flag("sep", add);
    if (add && sep_.empty()) set_config("sep_token", eos_);
  }

  const json& tokenizer_;
  json config_;
  const Pipeline& pipeline_;
  std::string bos_, cls_, eos_, sep_;
  std::vector<std::string> roles_ = {"bos", "eos", "unk", "sep", "pad", "cls", "mask"};
  std::vector<std::pair<std::string, int64_t>> ids_;
  std::vector<std::pair<std::string, bool>> flags_;
  std::optional<bool> lowercase_, strip_accents_;
};

}  // namespace

std::vector<std::pair<std::string, GgufValue>> derive_gguf_special_entries(const json& tokenizer,
                                                                           json tokenizer_config,
                                                                           const json& config,
                                                                           const Pipeline& pipeline) {
  SpecialVocabulary special(tokenizer, std::move(tokenizer_config), pipeline);
  if (!tokenizer.is_null()) {
    special.read_normalizer(field_or_null(tokenizer, "normalizer"));
    special.read_post_processor();
  }
  special.read_config_tokens();
  special.read_model_config(config);
  return special.entries();
}

}  // namespace assay::text
