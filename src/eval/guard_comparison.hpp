#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/guard_run.hpp"
#include "eval/guard_score.hpp"
#include "eval/measurement.hpp"

namespace assay {

/// A row on which two subjects say different things; no label where nothing could be read.
struct GuardFlip {
  std::string set, id;
  GuardTask task = GuardTask::kPromptHarm;
  bool truth = false;
  GuardLabel reference{}, candidate{};
};

/// Two subjects on the same rows of one set and task. An answer nobody can read is wrong, and agrees with
/// another such answer.
struct GuardComparison {
  std::string set;  ///< empty: all sets together
  GuardTask task = GuardTask::kPromptHarm;
  int64_t n = 0;
  Estimate agreement;            ///< share of rows with the same label
  Discordance discordance;       ///< first: the reference
  double mcnemar = 1.0;          ///< p of the discordance
  Estimate accuracy_difference;  ///< candidate minus reference, by score (Tango)
  Estimate f1_difference;        ///< by paired bootstrap over requests
  Estimate accuracy_retention;   ///< candidate / reference, by the same bootstrap
  Estimate f1_retention;
  std::optional<int64_t> n_needed{};  ///< rows that would show this difference of accuracy
  std::vector<GuardFlip> flips;
};

/// One comparison for each set and task, and one more for each task over all sets where there are several.
/// Throws Error when a row of one is missing in the other, or their true labels differ: no baseline then.
std::vector<GuardComparison> compare_guard(std::span<const GuardOutcome> reference,
                                           std::span<const GuardOutcome> candidate, uint64_t seed = 0);

/// Seconds a row of the reference over those of the candidate; nothing unless both ran on one machine with
/// the same number of threads, and answered the same rows.
std::optional<double> guard_speed_ratio(std::span<const GuardRecord> reference,
                                        std::span<const GuardRecord> candidate);

/// The numbers of a summary as a report takes them: f1, f1_published, f1_dropped, accuracy, accuracy_parsed,
/// precision, recall, false_positive_rate, unparsed_share, truncated_share, negative class alike; settings
/// gain set and task. A set of one class has recall and f1_one_class instead of f1.
std::vector<Measurement> guard_measurements(const std::string& subject, const GuardSummary& summary,
                                            const nlohmann::ordered_json& settings,
                                            const std::string& file_sha256);
/// seconds_per_row (mean and median), prefill and decode share.
std::vector<Measurement> guard_measurements(const std::string& subject, const GuardTiming& timing,
                                            const nlohmann::ordered_json& settings,
                                            const std::string& file_sha256);
/// accuracy (p by McNemar) and f1 of every comparison; first is the reference.
std::vector<PairedComparison> guard_paired_comparisons(const std::string& reference,
                                                       const std::string& candidate,
                                                       std::span<const GuardComparison> comparisons);

}  // namespace assay
