#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/guard_labels.hpp"

namespace assay {

/// One of the eleven files of GuardReasoner's benchmark, with the F1 (times 100) its authors published for
/// their 1B, 3B and 8B models in 16-bit weights; 0 where a task has none. Source: README of
/// yueliu1999/GuardReasoner.
struct GuardBenchmark {
  std::string_view name;       ///< the paper's
  std::string_view file_stem;  ///< data/benchmark/…
  std::string_view number;     ///< "0_A"
  struct Published {
    double f1[3] = {0, 0, 0};  ///< 1B, 3B, 8B
  };
  Published published[3]{};  ///< by task
};
std::span<const GuardBenchmark> guard_benchmarks() noexcept;
/// The benchmark that this word means (name, file stem with or without its number, number; case and '_' do
/// not matter), or null.
const GuardBenchmark* find_guard_benchmark(std::string_view word) noexcept;

/// The published F1 as a share, for size "1B", "3B" or "8B".
std::optional<double> published_guard_f1(std::string_view set, GuardTask task,
                                         std::string_view size) noexcept;

/// The paper's name for a benchmark's file or the folder of its predictions; else the file's stem.
std::string guard_set_name(const std::filesystem::path& path);

/// The file that `word` means: itself where it exists (~ and $VAR expanded), else the one below `folder` that
/// a benchmark is stored in or whose stem is the word. Throws Error when none or several fit.
std::filesystem::path find_guard_file(const std::string& word, const std::filesystem::path& folder);

}  // namespace assay
