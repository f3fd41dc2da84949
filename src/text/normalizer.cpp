#include "text/normalizer.hpp"

#include "base/error.hpp"
#include "text/json_fields.hpp"

namespace assay::text {
namespace {

/// Calls `visit(out, c)` for every code point of `text`.
template <typename Visit>
std::string map_code_points(std::string_view text, Visit visit) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) visit(out, read_code_point(text, at));
  return out;
}

std::string lower(std::string_view text) {
  return map_code_points(text, append_lower);
}

std::string drop(std::string_view text, bool (*unwanted)(char32_t) noexcept) {
  return map_code_points(text, [&](std::string& out, char32_t c) {
    if (!unwanted(c)) append_utf8(out, c);
  });
}

std::string strip(std::string_view text, const StripStep& step) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    if (is_whitespace(read_code_point(text, at))) continue;
    begin = std::min(begin, start);
    end = at;
  }
  if (begin > end) begin = end = step.left ? text.size() : 0;  // nothing but whitespace
  if (!step.left) begin = 0;
  if (!step.right) end = text.size();
  return std::string(text.substr(begin, end - begin));
}

/// BertNormalizer's "clean_text": drops controls, makes every whitespace a space (normalizers/bert.rs).
std::string clean(std::string_view text) {
  return map_code_points(text, [](std::string& out, char32_t c) {
    if (c == '\t' || c == '\n' || c == '\r' || is_whitespace(c)) {
      // U+0085 is both; Hugging Face drops controls first.
      if (c != 0x85 && c != 0x0B && c != 0x0C) out.push_back(' ');
    } else if (c != 0 && c != 0xFFFD && !is_other(c)) {
      append_utf8(out, c);
    }
  });
}

std::string separate_chinese(std::string_view text) {
  return map_code_points(text, [](std::string& out, char32_t c) {
    if (!is_chinese(c)) return append_utf8(out, c);
    out.push_back(' ');
    append_utf8(out, c);
    out.push_back(' ');
  });
}

std::string apply_bert(std::string_view text, const BertStep& step) {
  std::string out(text);
  if (step.clean_text) out = clean(out);
  if (step.chinese_chars) out = separate_chinese(out);
  if (step.strip_accents) out = drop(normalize_unicode(out, NormalForm::kNfd), is_nonspacing_mark);
  if (step.lowercase) out = lower(out);
  return out;
}

/// The clean-up of "Neural Machine Translation" pipelines (normalizers/unicode.rs, do_nmt).
std::string apply_nmt(std::string_view text) {
  return map_code_points(text, [](std::string& out, char32_t c) {
    const bool dropped =
        (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    if (dropped) return;
    const bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    append_utf8(out, space ? U' ' : c);
  });
}

struct Apply {
  std::string_view text;
  std::string operator()(NormalForm form) const { return normalize_unicode(text, form); }
  std::string operator()(const LowercaseStep&) const { return lower(text); }
  std::string operator()(const StripAccentsStep&) const { return drop(text, is_mark); }
  std::string operator()(const StripStep& step) const { return strip(text, step); }
  std::string operator()(const ReplaceStep& step) const {
    return replace_pattern(text, step.pattern, step.content);
  }
  std::string operator()(const PrependStep& step) const {
    return text.empty() ? std::string() : step.prefix + std::string(text);
  }
  std::string operator()(const BertStep& step) const { return apply_bert(text, step); }
  std::string operator()(const ByteAlphabetStep&) const { return bytes_to_byte_level(text); }
  std::string operator()(const NmtStep&) const { return apply_nmt(text); }
  std::string operator()(const Charsmap& map) const { return map.apply(text); }
};

void read_step(const nlohmann::json& json, const std::string& where, std::vector<NormalizerStep>& steps) {
  const std::string type = string_field(json, "type", where);
  if (type == "Sequence") {
    for (const auto& child : array_field(json, "normalizers", where)) read_step(child, where, steps);
  } else if (type == "NFC") {
    steps.emplace_back(NormalForm::kNfc);
  } else if (type == "NFD") {
    steps.emplace_back(NormalForm::kNfd);
  } else if (type == "NFKC") {
    steps.emplace_back(NormalForm::kNfkc);
  } else if (type == "NFKD") {
    steps.emplace_back(NormalForm::kNfkd);
  } else if (type == "Lowercase") {
    steps.emplace_back(LowercaseStep{});
  } else if (type == "StripAccents") {
    steps.emplace_back(StripAccentsStep{});
  } else if (type == "Strip") {
    steps.emplace_back(
        StripStep{bool_field(json, "strip_left", true, where), bool_field(json, "strip_right", true, where)});
  } else if (type == "Replace") {
    steps.emplace_back(ReplaceStep{pattern_from_json(json, where), string_field(json, "content", where)});
  } else if (type == "Prepend") {
    steps.emplace_back(PrependStep{string_field(json, "prepend", where)});
  } else if (type == "BertNormalizer") {
    const bool lowercase = bool_field(json, "lowercase", true, where);
    steps.emplace_back(BertStep{bool_field(json, "clean_text", true, where),
                                bool_field(json, "handle_chinese_chars", true, where),
                                bool_field(json, "strip_accents", lowercase, where), lowercase});
  } else if (type == "ByteLevel") {
    steps.emplace_back(ByteAlphabetStep{});
  } else if (type == "Nmt") {
    steps.emplace_back(NmtStep{});
  } else if (type == "Precompiled") {
    steps.emplace_back(Charsmap::from_base64(string_field(json, "precompiled_charsmap", where), where));
  } else {
    throw unsupported("normalizer", type, where);
  }
}

}  // namespace

Normalizer Normalizer::from_json(const nlohmann::json& json, const std::string& where) {
  std::vector<NormalizerStep> steps;
  if (!json.is_null()) read_step(json, where + ": normalizer", steps);
  return Normalizer(std::move(steps));
}

std::string Normalizer::apply(std::string_view text) const {
  std::string out(text);
  for (const NormalizerStep& step : steps_) out = std::visit(Apply{out}, step);
  return out;
}

std::string replace_pattern(std::string_view text, const std::variant<std::string, Regex>& pattern,
                            std::string_view content) {
  if (const auto* literal = std::get_if<std::string>(&pattern)) return replace_all(text, *literal, content);
  std::string out;
  size_t start = 0;
  for (const auto& [begin, end] : std::get<Regex>(pattern).find_all(text)) {
    out.append(text.substr(start, begin - start));
    out.append(content);
    start = end;
  }
  out.append(text.substr(start));
  return out;
}

std::variant<std::string, Regex> pattern_from_json(const nlohmann::json& json, const std::string& where) {
  const nlohmann::json& pattern = object_field(json, "pattern", where);
  if (pattern.contains("Regex")) return Regex(string_field(pattern, "Regex", where));
  std::string literal = string_field(pattern, "String", where);
  if (literal.empty()) throw Error({"an empty pattern matches everywhere", where, {}, {}, {}});
  return literal;
}

}  // namespace assay::text
