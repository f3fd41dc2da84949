#include <fmt/format.h>

#include "text/json_fields.hpp"
#include "text/normalizer.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

/// "Whitespace" means \w+|[^\w\s]+ to Rust's regex crate, whose \w also holds the two join controls.
constexpr const char* kWordOrSymbols = R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)";

bool is_bert_punctuation(char32_t c) noexcept {
  return is_ascii_punctuation(c) || is_punctuation(c);
}

SplitBehavior behavior_from_json(const json& object, const std::string& where) {
  const std::string& name = string_field(object, "behavior", where);
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw unsupported("split behavior", name, where);
}

SplitStep split_from_json(const json& object, const std::string& where) {
  SplitStep step;
  auto pattern = pattern_from_json(object, where);
  if (auto* regex = std::get_if<Regex>(&pattern))
    step.matcher = std::move(*regex);
  else
    step.matcher = std::get<std::string>(pattern);
  step.behavior = behavior_from_json(object, where);
  step.invert = bool_field(object, "invert", false, where);
  return step;
}

MetaspaceStep metaspace_from_json(const json& object, const std::string& where) {
  using Prepend = MetaspaceStep::Prepend;
  MetaspaceStep step;
  step.replacement = string_field(object, "replacement", where);
  if (step.replacement.empty()) throw Error({"Metaspace needs a replacement character", where, {}, {}, {}});
  step.split = bool_field(object, "split", true, where);
  const std::string scheme = optional_string_field(object, "prepend_scheme", where);
  if (scheme == "always")
    step.prepend = Prepend::kAlways;
  else if (scheme == "first")
    step.prepend = Prepend::kFirst;
  else if (scheme == "never")
    step.prepend = Prepend::kNever;
  else if (!scheme.empty())
    throw unsupported("prepend_scheme", scheme, where);
  // Files older than prepend_scheme say it with a flag.
  if (!bool_field(object, "add_prefix_space", true, where) && scheme.empty()) step.prepend = Prepend::kNever;
  return step;
}

/// A single character given as a string.
std::string delimiter_from_json(const json& object, const std::string& where) {
  std::string delimiter = string_field(object, "delimiter", where);
  if (delimiter.empty()) throw Error({"an empty delimiter", where, {}, {}, {}});
  return delimiter;
}

void read_step(const json& object, const std::string& where, std::vector<PreTokenizerStep>& steps) {
  const std::string& type = string_field(object, "type", where);
  if (type == "Sequence") {
    for (const auto& child : array_field(object, "pretokenizers", where)) read_step(child, where, steps);
  } else if (type == "ByteLevel") {
    steps.emplace_back(ByteLevelStep{bool_field(object, "add_prefix_space", true, where),
                                     bool_field(object, "use_regex", true, where)});
  } else if (type == "Split") {
    steps.emplace_back(split_from_json(object, where));
  } else if (type == "Metaspace") {
    steps.emplace_back(metaspace_from_json(object, where));
  } else if (type == "Digits") {
    const bool each = bool_field(object, "individual_digits", false, where);
    steps.emplace_back(
        SplitStep{&is_numeric, each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false});
  } else if (type == "Punctuation") {
    const bool given = object.contains("behavior");
    steps.emplace_back(SplitStep{
        &is_bert_punctuation, given ? behavior_from_json(object, where) : SplitBehavior::kIsolated, false});
  } else if (type == "Whitespace") {
    steps.emplace_back(SplitStep{Regex(kWordOrSymbols), SplitBehavior::kRemoved, true});
  } else if (type == "WhitespaceSplit") {
    steps.emplace_back(SplitStep{&is_whitespace, SplitBehavior::kRemoved, false});
  } else if (type == "CharDelimiterSplit") {
    steps.emplace_back(SplitStep{delimiter_from_json(object, where), SplitBehavior::kRemoved, false});
  } else if (type == "BertPreTokenizer") {
    steps.emplace_back(SplitStep{&is_whitespace, SplitBehavior::kRemoved, false});
    steps.emplace_back(SplitStep{&is_bert_punctuation, SplitBehavior::kIsolated, false});
  } else {
    throw unsupported("pre-tokenizer", type, where);
  }
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const json& object, const std::string& where) {
  std::vector<PreTokenizerStep> steps;
  if (!object.is_null()) read_step(object, where + ": pre_tokenizer", steps);
  return PreTokenizer(std::move(steps));
}

}  // namespace assay::text
