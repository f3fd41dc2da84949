#include "text/llama_pre.hpp"

#include <algorithm>
#include <array>

#include "text/unicode.hpp"

namespace assay::text {
namespace {

#define ASSAY_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define ASSAY_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"

constexpr const char* kCl100k =
    ASSAY_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" ASSAY_SPACES;
constexpr const char* kQwen2 =
    ASSAY_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" ASSAY_SPACES;
constexpr const char* kQwen35 = ASSAY_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" ASSAY_SPACES;

#define ASSAY_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define ASSAY_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define ASSAY_LEAD R"([^\r\n\p{L}\p{N}]?)"
constexpr const char* kO200k =
    ASSAY_LEAD ASSAY_UPPER "*" ASSAY_LOWER "+" ASSAY_CONTRACTIONS "?|" ASSAY_LEAD ASSAY_UPPER "+" ASSAY_LOWER
                           "*" ASSAY_CONTRACTIONS R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" ASSAY_SPACES;
constexpr const char* kTekken =
    ASSAY_LEAD ASSAY_UPPER "*" ASSAY_LOWER "+|" ASSAY_LEAD ASSAY_UPPER "+" ASSAY_LOWER
                           R"(*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" ASSAY_SPACES;

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kDigits = R"(\p{N}+)";
constexpr const char* kThreeDigits = "[0-9][0-9][0-9]";
constexpr const char* kDefaultPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr const char* kFalconPunctuation = R"([\p{P}\$\+<=>\^~\|`]+)";

constexpr const char* kLineEnd = "[\r\n]";
constexpr const char* kDeepseekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ)"
    R"(-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ)"
    R"(-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr const char* kDeepseekPunctuation = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
constexpr const char* kDeepseekTrailing = R"(\s+$)";
constexpr const char* kDeepseekHan = R"([一-龥ࠀ-一가-퟿]+)";
constexpr const char* kDeepseek3Han = R"([一-龥぀-ゟ゠-ヿ]+)";
constexpr const char* kDeepseek3Words =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

const std::vector<LlamaPre>& table() {
  static const std::vector<LlamaPre> rows = {
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {kCl100k},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kCl100k}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "grok-2"}, {kQwen2}},
      {{"qwen35"}, {kQwen35}},
      {{"gpt-4o", "llama4"}, {kO200k}},
      {{"tekken"}, {kTekken}, true, true},
      {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "mpt", "olmo", "jais",
        "roberta-bpe", "jina-v1-en", "jina-v2-code"},
       {kGpt2}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}, {kDigit, kGpt2}},
      {{"default"}, {kDefaultPunctuation, kGpt2, kDigits, kThreeDigits}},
      {{"falcon"}, {kFalconPunctuation, kGpt2, kThreeDigits}},
      {{"deepseek-llm"},
       {kLineEnd, kDeepseekLetters, kDeepseekPunctuation, kDeepseekTrailing, kDeepseekHan, kDigits}},
      {{"deepseek-coder"}, {kLineEnd, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekHan, kDigit}},
      {{"deepseek-v3"}, {R"(\p{N}{1,3})", kDeepseek3Han, kDeepseek3Words}},
  };
  return rows;
}

/// The steps as the expressions of llama.cpp; nothing when one of them is of another kind.
std::optional<std::vector<std::string>> regexes_of(const PreTokenizer& pre_tokenizer) {
  std::vector<std::string> regexes;
  for (const PreTokenizerStep& step : pre_tokenizer.steps()) {
    if (const auto* bytes = std::get_if<ByteLevelStep>(&step)) {
      if (bytes->add_prefix_space) return std::nullopt;
      if (bytes->use_regex) regexes.emplace_back(kGpt2);
      continue;
    }
    const auto* split = std::get_if<SplitStep>(&step);
    if (split == nullptr || split->invert) return std::nullopt;
    const bool isolated = split->behavior == SplitBehavior::kIsolated;
    const bool contiguous = split->behavior == SplitBehavior::kContiguous;
    if (const auto* regex = std::get_if<Regex>(&split->matcher); regex != nullptr && isolated) {
      regexes.push_back(regex->pattern());
      continue;
    }
    const auto* test = std::get_if<CharacterTest>(&split->matcher);
    if (test == nullptr || !(isolated || contiguous)) return std::nullopt;
    if (*test == &is_numeric)
      regexes.emplace_back(isolated ? kDigit : kDigits);
    else if (contiguous)
      regexes.emplace_back(kFalconPunctuation);
    else
      return std::nullopt;
  }
  return regexes;
}

}  // namespace

const LlamaPre* find_llama_pre(std::string_view name) {
  for (const LlamaPre& row : table())
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) return &row;
  return nullptr;
}

std::optional<std::string> name_llama_pre(const PreTokenizer& pre_tokenizer, bool ignore_merges) {
  auto regexes = regexes_of(pre_tokenizer);
  if (!regexes) return std::nullopt;
  // Falcon's runs of digits are cut again by threes; DeepSeek's single digits have no merges. Both come out
  // as llama.cpp has them.
  const std::vector<std::string> falcon = {kFalconPunctuation, kGpt2, kDigits, kThreeDigits};
  if (*regexes == falcon) return "falcon";
  if (regexes->size() == 6 && regexes->front() == kLineEnd && regexes->back() == kDigit)
    regexes->back() = kDigits;
  for (const LlamaPre& row : table()) {
    const bool same = std::equal(row.regexes.begin(), row.regexes.end(), regexes->begin(), regexes->end());
    // Taking whole words first changes nothing when every piece can be merged, so a row without it is
    // good enough where no other is left.
    if (same && (row.ignore_merges == ignore_merges || row.regexes.front() != kCl100k))
      return row.names.front();
  }
  return std::nullopt;
}

}  // namespace assay::text
