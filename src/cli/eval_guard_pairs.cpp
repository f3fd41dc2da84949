#include <map>

#include "cli/eval_guard_report.hpp"

namespace assay {
namespace {

std::vector<ScoredLabel> margins_of(const GuardSubject& subject, const std::string& set, GuardTask task) {
  std::vector<ScoredLabel> rows;
  std::map<std::string, uint64_t> requests;
  for (const GuardRecord& record : subject.records)
    if (record.set == set && record.margins && record.truth[task])
      rows.push_back({(*record.margins)[static_cast<size_t>(task)], *record.truth[task],
                      requests.try_emplace(record.prompt, requests.size()).first->second});
  return rows;
}

}  // namespace

std::vector<GuardPairing> pair_subjects(const GuardReport& report) {
  std::vector<GuardPairing> pairings;
  const bool baseline = !report.reference.empty();
  for (size_t i = 0; i < report.subjects.size(); ++i) {
    for (size_t k = i + 1; k < report.subjects.size(); ++k) {
      const GuardSubject &first = report.subjects[i], &second = report.subjects[k];
      if (baseline && i > 0) continue;
      pairings.push_back({.first = first.path,
                          .second = second.path,
                          .baseline = baseline,
                          .comparisons = compare_guard(first.outcomes, second.outcomes),
                          .speed_ratio = guard_speed_ratio(first.records, second.records)});
    }
  }
  std::vector<double> p;
  for (const GuardPairing& pairing : pairings)
    for (const GuardComparison& comparison : pairing.comparisons) p.push_back(comparison.mcnemar);
  const std::vector<double> corrected = holm(p);
  size_t next = 0;
  for (GuardPairing& pairing : pairings)
    for (size_t i = 0; i < pairing.comparisons.size(); ++i) pairing.p_holm.push_back(corrected[next++]);
  return pairings;
}

std::vector<GuardMarginRow> score_all_margins(const GuardReport& report, double most_fpr) {
  std::vector<GuardMarginRow> made;
  std::map<std::pair<std::string, GuardTask>, double> thresholds;
  for (const GuardSubject& subject : report.subjects) {
    for (const GuardScore& score : subject.summary.scores) {
      const std::vector<ScoredLabel> rows = margins_of(subject, score.set, score.task);
      if (rows.empty()) continue;
      if (!report.reference.empty()) thresholds.try_emplace({score.set, score.task}, best_threshold(rows));
      const auto found = thresholds.find({score.set, score.task});
      const auto threshold = found == thresholds.end() ? std::nullopt : std::optional(found->second);
      made.push_back({subject.path, score.set, score.task, static_cast<int64_t>(rows.size()),
                      score_margins(rows, threshold, most_fpr)});
    }
  }
  return made;
}

}  // namespace assay
