#include "report/advice.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/number_text.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

/// Bands as practitioners read mean KL of instruct models of Qwen's class (smcleod.net, 2026): below 1e-4 the
/// same, 1e-3 to 5e-3 a good 6-bit file, 1e-2 to 5e-2 a typical 4-bit one, above this visible.
constexpr double kVisibleKl = 0.1;

/// A candidate's headline numbers, as indices of measurements; nothing where not measured.
struct Candidate {
  const Subject* subject;
  std::optional<size_t> kl{}, decode{}, memory{}, bytes{};
};

class Adviser {
 public:
  Adviser(const Report& report, const Needs& needs) : report_(report), needs_(needs) {
    for (const Subject& subject : report.subjects)
      if (subject.label != report.reference) candidates_.push_back(look_up(subject));
  }

  std::vector<Advice> finish() {
    warn_of_false_files();
    advise_quality();
    advise_speed();
    advise_single();
    advise_needs();
    warn_of_visible_drift();
    warn_of_missing_intervals();
    return std::move(advice_);
  }

 private:
  using Key = std::optional<size_t> Candidate::*;

  Candidate look_up(const Subject& subject) const {
    const auto find = [&](const char* task, const char* metric) {
      return find_headline(report_, subject.label, task, metric);
    };
    return {.subject = &subject,
            .kl = find("divergence", "kl_mean"),
            .decode = find("speed", "decode"),
            .memory = find("memory", "peak_rss"),
            .bytes = find("size", "bytes")};
  }

  double value(std::optional<size_t> index) const { return report_.measurements[*index].value; }
  std::string text(std::optional<size_t> index) const {
    return format_number(report_.measurements[*index]).line();
  }

  /// Those that have `key`, the best first.
  std::vector<Candidate> ranked(Key key, bool higher_is_better) const {
    std::vector<Candidate> with;
    for (const Candidate& candidate : candidates_)
      if (candidate.*key && is_trusted(*candidate.subject)) with.push_back(candidate);
    std::stable_sort(with.begin(), with.end(), [&](const Candidate& a, const Candidate& b) {
      return higher_is_better ? value(a.*key) > value(b.*key) : value(a.*key) < value(b.*key);
    });
    return with;
  }

  const PairedComparison* find_pair(const Candidate& a, const Candidate& b, std::string_view task,
                                    std::string_view metric) const {
    for (const PairedComparison& pair : report_.comparisons) {
      const bool same = (pair.first == a.subject->label && pair.second == b.subject->label) ||
                        (pair.first == b.subject->label && pair.second == a.subject->label);
      if (same && pair.task == task && pair.metric == metric) return &pair;
    }
    return nullptr;
  }

  void warn_of_false_files() {
    for (const Candidate& c : candidates_) {
      const Subject& subject = *c.subject;
      if (is_trusted(subject)) continue;
      Advice warning{.text =
                         fmt::format("Do not use {}: it is {}.", subject.label, describe_verdict(subject))};
      if (c.bytes) warning.measurements.push_back(*c.bytes);
      advice_.push_back(std::move(warning));
    }
  }

  /// The best two by `key`: who leads, and whether their paired comparison shows it.
  void advise_best(Key key, bool higher_is_better, const char* task, const char* metric,
                   const std::string& purpose, const std::string& praise) {
    const std::vector<Candidate> order = ranked(key, higher_is_better);
    if (order.size() < 2) return;
    const Candidate &best = order[0], &next = order[1];
    const PairedComparison* pair = find_pair(best, next, task, metric);
    if (pair == nullptr) return;
    std::string line = fmt::format("{}: {} {} ({}), ", purpose, best.subject->label, praise, text(best.*key));
    line += winner_of(*pair) == best.subject->label
                ? fmt::format("shown against {} ({}).", next.subject->label, text(next.*key))
                : fmt::format("but against {} ({}) {}.", next.subject->label, text(next.*key),
                              describe_no_difference(*pair));
    advice_.push_back({.text = line, .measurements = {*(best.*key), *(next.*key)}});
  }

  void advise_quality() {
    advise_best(&Candidate::kl, false, "divergence", "kl_mean", "If quality matters most",
                "lies nearest to the reference");
  }
  void advise_speed() {
    advise_best(&Candidate::decode, true, "speed", "decode", "If speed matters most", "decodes fastest");
  }

  /// With one candidate there is nothing to choose between files, but whether to use this one.
  void advise_single() {
    if (candidates_.size() != 1 || !is_trusted(*candidates_[0].subject)) return;
    const Candidate& only = candidates_[0];
    const Subject* reference = find_subject(report_, report_.reference);
    if (only.kl && value(only.kl) <= kVisibleKl) tell_distance(only);
    if (reference == nullptr) return;
    const Candidate source = look_up(*reference);
    if (only.bytes && source.bytes)
      advice_.push_back(
          {.text = fmt::format("It takes {}, the reference {}.", text(only.bytes), text(source.bytes)),
           .measurements = {*only.bytes, *source.bytes}});
    const PairedComparison* pair = find_pair(source, only, "speed", "decode");
    if (pair == nullptr || !only.decode || !source.decode) return;
    const auto winner = winner_of(*pair);
    const std::string speeds = fmt::format("({} against {})", text(only.decode), text(source.decode));
    advice_.push_back(
        {.text = winner ? fmt::format("{} decodes faster, shown {}.", *winner, speeds)
                        : fmt::format("Of its speed {} {}.", describe_no_difference(*pair), speeds),
         .measurements = {*only.decode, *source.decode}});
  }

  void tell_distance(const Candidate& only) {
    const double kl = value(only.kl);
    const char* band = kl < 1e-4   ? "too little for readers to notice"
                       : kl < 5e-3 ? "as near as a good 6-bit file or nearer (up to 0.005)"
                       : kl < 1e-2 ? "between good 6-bit files (up to 0.005) and 4-bit ones (from 0.01)"
                       : kl < 5e-2 ? "where 4-bit files lie (0.01 to 0.05)"
                                   : "further than 4-bit files usually lie (0.01 to 0.05)";
    advice_.push_back(
        {.text = fmt::format("{} lies {} from the reference: {}.", only.subject->label, text(only.kl), band),
         .measurements = {*only.kl}});
  }

  /// Whether a stated limit is kept; `cited` receives the number that says so. A limit on something that was
  /// not measured is not kept.
  bool keeps(const std::optional<double>& limit, std::optional<size_t> index, bool is_minimum,
             std::vector<size_t>& cited) const {
    if (!limit) return true;
    if (!index) return false;
    cited.push_back(*index);
    return is_minimum ? value(index) >= *limit : value(index) <= *limit;
  }

  /// Of the files that keep every limit, the one nearest to the reference.
  void advise_needs() {
    if (!needs_.max_bytes && !needs_.max_memory && !needs_.min_decode && !needs_.max_kl) return;
    for (const Candidate& c : ranked(&Candidate::kl, false)) {
      std::vector<size_t> cited;
      const bool fits = keeps(needs_.max_bytes, c.bytes, false, cited) &&
                        keeps(needs_.max_memory, c.memory, false, cited) &&
                        keeps(needs_.min_decode, c.decode, true, cited) &&
                        keeps(needs_.max_kl, c.kl, false, cited);
      if (!fits) continue;
      if (!needs_.max_kl) cited.push_back(*c.kl);
      std::string figures;
      for (const size_t index : cited) figures += (figures.empty() ? "" : ", ") + text(index);
      advice_.push_back({.text = fmt::format("Within your limits, {} lies nearest to the reference ({}).",
                                             c.subject->label, figures),
                         .measurements = std::move(cited)});
      return;
    }
    advice_.push_back({.text = "No measured file keeps all of your limits."});
  }

  void warn_of_visible_drift() {
    for (const Candidate& c : candidates_)
      if (c.kl && value(c.kl) > kVisibleKl)
        advice_.push_back({.text = fmt::format(
                               "{} drifts by {}; readers usually notice more than 0.1. Measure your own task "
                               "before you use it, or take more bits.",
                               c.subject->label, text(c.kl)),
                           .measurements = {*c.kl}});
  }

  void warn_of_missing_intervals() {
    for (const Candidate& c : candidates_) {
      if (!c.kl || report_.measurements[*c.kl].low) continue;
      advice_.push_back({.text =
                             "The text is too short for an interval: nothing can be said about differences. "
                             "Give more documents or a longer text.",
                         .measurements = {*c.kl}});
      return;
    }
  }

  const Report& report_;
  const Needs& needs_;
  std::vector<Candidate> candidates_;
  std::vector<Advice> advice_;
};

}  // namespace

std::vector<Advice> advise(const Report& report, const Needs& needs) {
  return Adviser(report, needs).finish();
}

}  // namespace assay
