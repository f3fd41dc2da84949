#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/compare_guard.hpp"
#include "cli/compare_speed.hpp"
#include "cli/judge_options.hpp"
#include "eval/corpus.hpp"
#include "report/advice.hpp"

namespace assay {

/// Everything compare can be told.
struct CompareOptions {
  std::string source, recipes, output;
  std::vector<std::string> paths, endpoints;
  bool json = false, overwrite = false;
  int threads = 0;

  std::vector<std::string> texts;  ///< files of the divergence
  std::string text_field;
  WindowOptions windows{.context = 0};  ///< 0: 256, or all of a shorter context
  SpeedComparisonOptions speed;
  std::vector<std::string> prompts;  ///< texts that every subject answers
  JudgeCliOptions judge;
  GuardComparisonOptions guard;
  std::string guard_folder;
  int64_t guard_max_tokens = 2048;
  Needs needs;
  std::string legacy, legacy_schema = "per-class";  ///< folder and form of the old projects' files

  void declare(CLI::App& command);
  /// A judge was named, in whatever way.
  bool has_judge() const;
  /// Files in the folder of the old forms may be replaced: by --overwrite, and below the output, where the
  /// latest comparison stands as a whole.
  bool may_replace_legacy() const;
  /// Throws UsageError for options that contradict each other or name no endpoint.
  void check() const;
  /// Fits windows and timings into `limit` positions. Throws Error when --ctx is beyond them.
  void fit_context(int64_t limit);
};

}  // namespace assay
