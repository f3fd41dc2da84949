#include "eval/guard_benchmarks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/file.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

// published: prompt harm, refusal, response harm.
constexpr std::array<GuardBenchmark, 11> kBenchmarks = {{
    {"SimpleSafetyTests", "0_0_SimpleSafetyTests", "0_0", {{{98.99, 100.00, 99.50}}, {}, {}}},
    {"AegisSafetyTest", "0_1_AegisSafetyTest", "0_1", {{{89.34, 91.39, 90.18}}, {}, {}}},
    {"OpenAIModeration", "0_2_OpenAIModeration", "0_2", {{{70.06, 71.87, 72.00}}, {}, {}}},
    {"HarmBenchPrompt", "0_3_harmbench_prompt", "0_3", {{{96.31, 89.10, 91.86}}, {}, {}}},
    {"WildGuardTest",
     "0_4_wild_guard_test",
     "0_4",
     {{{87.37, 89.01, 89.17}}, {{87.71, 87.54, 88.91}}, {{74.81, 79.70, 78.20}}}},
    {"HarmBenchResponse", "0_5_harmbench_response", "0_5", {{}, {}, {{84.75, 85.66, 85.47}}}},
    {"XSTestResponseHarmful", "0_6_xstest_response_harmful", "0_6", {{}, {}, {{90.12, 91.36, 94.34}}}},
    {"XSTestResponseRefusal", "0_7_xstest_response_refusal", "0_7", {{}, {{91.34, 80.31, 93.68}}, {}}},
    {"ToxicChat", "0_8_toxic_chat", "0_8", {{{72.43, 78.20, 78.79}}, {}, {}}},
    {"SafeRLHF", "0_9_safe_rlhf", "0_9", {{}, {}, {{68.39, 69.02, 70.04}}}},
    {"BeaverTails", "0_A_beaver_tails", "0_A", {{}, {}, {{85.84, 86.72, 87.60}}}},
}};

/// Lower case, letters and digits only.
std::string bare(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
  }
  return out;
}

constexpr std::array<std::string_view, 4> kExtensions = {".json", ".jsonl", ".csv", ".tsv"};

/// Data files below `folder`, five levels deep at most, whose stem `fits`; sorted.
template <typename Fits>
std::vector<fs::path> files_below(const fs::path& folder, Fits fits) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry =
           fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry.depth() >= 5) entry.disable_recursion_pending();
    const std::string extension = entry->path().extension().string();
    const bool known = std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
    if (known && entry->is_regular_file(error) && fits(entry->path().stem().string()))
      found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::span<const GuardBenchmark> guard_benchmarks() noexcept {
  return kBenchmarks;
}

const GuardBenchmark* find_guard_benchmark(std::string_view word) noexcept {
  std::string wanted = bare(word);
  // The released predictions of this one lie in a folder with a letter missing.
  if (wanted == "xstestreponseharmful") wanted = "xstestresponseharmful";
  for (const GuardBenchmark& benchmark : kBenchmarks) {
    const std::string stem = bare(benchmark.file_stem);
    if (wanted == bare(benchmark.name) || wanted == stem || wanted == stem.substr(2) ||
        word == benchmark.number)
      return &benchmark;
  }
  return nullptr;
}

std::optional<double> published_guard_f1(std::string_view set, GuardTask task,
                                         std::string_view size) noexcept {
  const GuardBenchmark* benchmark = find_guard_benchmark(set);
  const size_t column = size == "1B" ? 0 : size == "3B" ? 1 : 2;
  if (benchmark == nullptr || benchmark->name != set) return std::nullopt;
  const double f1 = benchmark->published[static_cast<size_t>(task)].f1[column];
  return f1 > 0 ? std::optional(f1 / 100) : std::nullopt;
}

std::string guard_set_name(const fs::path& path) {
  const bool predictions = path.filename() == "generated_predictions.jsonl";
  const std::string name = predictions ? path.parent_path().filename().string() : path.stem().string();
  const GuardBenchmark* benchmark = find_guard_benchmark(name);
  // Only its own file bears a benchmark's name: others store the same texts in other forms.
  const bool own = benchmark != nullptr && (predictions || name == benchmark->file_stem);
  return own ? std::string(benchmark->name) : name;
}

fs::path find_guard_file(const std::string& word, const fs::path& folder) {
  const fs::path direct = expand_path(word);
  if (fs::is_regular_file(direct)) return direct;
  const GuardBenchmark* benchmark = find_guard_benchmark(word);
  std::vector<fs::path> found;
  if (benchmark != nullptr)
    found = files_below(folder, [&](const std::string& stem) { return stem == benchmark->file_stem; });
  if (found.empty()) found = files_below(folder, [&](const std::string& stem) { return stem == word; });
  if (found.size() == 1) return found[0];
  std::vector<std::string> names;
  for (const fs::path& path : found) names.push_back(path.string());
  if (!names.empty())
    throw Error({"several files have this name", word, "one", fmt::format("{}", fmt::join(names, ", ")),
                 "give the path"});
  throw Error(
      {"no such data set", word,
       benchmark != nullptr ? fmt::format("{}.json", benchmark->file_stem) : "a file, or the name of one",
       fmt::format("nothing of that name below {}", folder.string()), "--data-dir names its folder"});
}

}  // namespace assay
