#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/guard_comparison.hpp"
#include "eval/guard_margins.hpp"
#include "eval/guard_run.hpp"

namespace assay {

/// A model, or stored answers, with everything that was measured.
struct GuardSubject {
  std::string path;
  std::vector<GuardRecord> records;
  std::vector<GuardOutcome> outcomes;
  GuardSummary summary;
  GuardTiming timing;
  nlohmann::ordered_json model{};     ///< what was really loaded; null for stored answers
  nlohmann::ordered_json settings{};  ///< everything that changes the numbers
};

/// Margins of one task on one set.
struct GuardMarginRow {
  std::string path, set;
  GuardTask task = GuardTask::kPromptHarm;
  int64_t rows = 0;
  MarginScore score;
};

/// Two subjects and what lies between them.
struct GuardPairing {
  std::string first, second;
  bool baseline = false;  ///< first is the reference: only then agreement and retention mean something
  std::vector<GuardComparison> comparisons;
  std::optional<double> speed_ratio{};
  std::vector<double> p_holm{};  ///< McNemar's, corrected over all comparisons shown
};

struct GuardReport {
  std::string reference;  ///< empty: none was measured
  std::string published;  ///< "1B", "3B" or "8B": whose published figures stand beside
  std::vector<GuardSubject> subjects;
  std::vector<GuardPairing> pairings;
  std::vector<GuardMarginRow> margins;
};

/// Every subject against the reference, which comes first; without one, every two of them. p is corrected by
/// Holm over all of them. Throws Error when two were not asked the same.
std::vector<GuardPairing> pair_subjects(const GuardReport& report);
/// Margins of every subject that has some; thresholds are the reference's, best on its own rows.
std::vector<GuardMarginRow> score_all_margins(const GuardReport& report, double most_fpr);

nlohmann::ordered_json guard_report_json(const GuardReport& report);
std::string guard_report_text(const GuardReport& report);

}  // namespace assay
