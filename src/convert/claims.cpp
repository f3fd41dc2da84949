#include "convert/claims.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <vector>

namespace assay {
namespace {

struct Word {
  std::string_view text;
  int bits;
};
/// Words that people put into names, after splitting at everything but letters and digits.
constexpr Word kWords[] = {{"2bit", 2},  {"3bit", 3},  {"4bit", 4}, {"5bit", 5}, {"6bit", 6}, {"8bit", 8},
                           {"int4", 4},  {"int8", 8},  {"w4", 4},   {"w8", 8},   {"nf4", 4},  {"fp4", 4},
                           {"q2", 2},    {"q3", 3},    {"q4", 4},   {"q5", 5},   {"q6", 6},   {"q8", 8},
                           {"w4a16", 4}, {"mxfp4", 4}, {"nvfp4", 4}};

std::vector<std::string> split_words(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!words.back().empty())
      words.emplace_back();
  }
  return words;
}

/// Words after the bits that still belong to the promise: "4bit-g64", "Q4_K_M", "IQ4_XS", "q8_0", "q4f16",
/// "4bit-mlx", "int8.gguf", "mlx-q8-v2".
bool continues_claim(std::string_view word) {
  constexpr std::string_view kSuffixes[] = {"k",   "xxs",     "xs",   "s",    "m",   "l",    "xl",
                                            "nl",  "0",       "1",    "g32",  "g64", "g128", "bit",
                                            "mlx", "gguf",    "dwq",  "gptq", "awq", "bnb",  "safetensors",
                                            "npz", "imatrix", "imat", "v2"};
  return std::find(std::begin(kSuffixes), std::end(kSuffixes), word) != std::end(kSuffixes);
}

/// Leaves out what a name says of single parts at its end, as assay's own do: "int8-emb-int4-head-fp32".
void drop_parts(std::vector<std::string>& words) {
  while (words.size() >= 3 && (words[words.size() - 2] == "emb" || words[words.size() - 2] == "head"))
    words.resize(words.size() - 2);
}

/// The last word that tells bits, if nothing but the rest of a promise follows: "tiny-q4" promises,
/// "tiny-q4-distilled-teacher" tells a history.
std::optional<Claim> find_in_name(const std::string& name) {
  std::vector<std::string> words = split_words(name);
  if (words.back().empty()) words.pop_back();
  drop_parts(words);
  for (size_t i = words.size(); i-- > 0;) {
    // "4-bit" and "4_bit" split into two words.
    const bool split_bit = i + 1 < words.size() && words[i + 1] == "bit";
    const std::string word = split_bit ? words[i] + "bit" : words[i];
    for (const Word& known : kWords) {
      if (word != known.text) continue;
      Claim claim{known.bits, word, false};
      claim.k_quant = i + 1 < words.size() && words[i + 1] == "k";
      if (claim.k_quant)
        claim.text += "_k" + (i + 2 < words.size() && words[i + 2].size() == 1 ? "_" + words[i + 2] : "");
      return claim;
    }
    if (!continues_claim(words[i])) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Claim> find_claim(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, ignored);
  const std::filesystem::path& used = real.empty() ? path : real;
  const std::string name = (used.has_filename() ? used : used.parent_path()).filename().string();
  if (auto claim = find_in_name(name)) return claim;
  if (std::filesystem::is_regular_file(used, ignored) && name.starts_with("model"))
    return find_in_name(used.parent_path().filename().string());
  return std::nullopt;
}

}  // namespace assay
