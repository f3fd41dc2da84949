#include "report/report_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

/// Puts a sentence together.
class Teller {
 public:
  Teller& words(std::string text) {
    sentence_.push_back({.kind = SentencePart::Kind::kWords, .text = std::move(text)});
    return *this;
  }
  Teller& subject(const std::string& label) {
    sentence_.push_back({.kind = SentencePart::Kind::kSubject, .text = label});
    return *this;
  }
  Teller& number(size_t measurement) {
    sentence_.push_back({.kind = SentencePart::Kind::kNumber, .measurement = measurement});
    return *this;
  }
  /// "a, b and c"
  Teller& subjects(const std::vector<std::string>& labels) {
    for (size_t i = 0; i < labels.size(); ++i) {
      if (i > 0) words(i + 1 == labels.size() ? " and " : ", ");
      subject(labels[i]);
    }
    return *this;
  }
  Sentence done() { return std::move(sentence_); }

 private:
  Sentence sentence_;
};

std::string count_of(size_t n, const std::string& one, const std::string& many) {
  return format_whole(static_cast<int64_t>(n)) + " " + (n == 1 ? one : many);
}

std::vector<std::string> candidates(const Report& report) {
  std::vector<std::string> labels;
  for (const Subject& subject : report.subjects)
    if (subject.label != report.reference) labels.push_back(subject.label);
  return labels;
}

std::string size_and_bits(const Subject& subject) {
  if (!has_size(subject)) return "";
  std::string text = format_size(static_cast<double>(subject.bytes));
  if (subject.bits_per_weight > 0.0) text += fmt::format(", {:.3g} bits per weight", subject.bits_per_weight);
  return " (" + text + ")";
}

SummaryLine tell_subjects(const Report& report) {
  Teller teller;
  const std::vector<std::string> labels = candidates(report);
  const Subject* reference = find_subject(report, report.reference);
  if (labels.empty()) {
    teller.words("One model alone: ").subject(report.reference);
  } else {
    teller.words(count_of(labels.size(), "candidate", "candidates") + ", ").subjects(labels);
    teller.words(labels.size() == 1 ? ", was held against " : ", were each held against ");
    teller.subject(report.reference);
  }
  if (reference != nullptr) teller.words(size_and_bits(*reference));
  teller.words(reference != nullptr && !labels.empty() ? ", the reference. Same texts, same settings for all."
                                                       : ".");
  return {.question = "What was compared", .answers = {teller.done()}};
}

SummaryLine tell_verdicts(const Report& report) {
  struct Group {
    std::string words;
    std::vector<std::string> labels;
  };
  std::vector<Group> groups;
  for (const Subject& subject : report.subjects) {
    if (subject.label == report.reference || !has_size(subject)) continue;
    const std::string verdict = describe_verdict(subject);
    auto found =
        std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.words == verdict; });
    if (found == groups.end()) found = groups.insert(groups.end(), {verdict, {}});
    found->labels.push_back(subject.label);
  }
  SummaryLine line{.question = "Really quantized?", .answers = {}};
  for (const Group& group : groups)
    line.answers.push_back(Teller().subjects(group.labels).words(": " + group.words + ".").done());
  return line;
}

/// "same first choice: A 92.5 % [92.1, 93.0], B …".
Sentence tell_metric(const Report& report, const std::string& task, const std::string& metric) {
  const MetricFact fact = metric_fact(task, metric);
  Teller teller;
  size_t told = 0;
  for (const std::string& label : candidates(report)) {
    const auto index = find_headline(report, label, task, metric);
    if (!index || !std::isfinite(report.measurements[*index].value)) continue;
    const std::string lead = fact.title + (fact.meaning.empty() ? "" : " (" + fact.meaning + ")") + ": ";
    teller.words(told++ == 0 ? lead : "; ").subject(label).words(" ").number(*index);
  }
  if (told == 0) return {};
  const auto own = find_headline(report, report.reference, task, metric);
  if (own && task != "divergence") teller.words("; the reference ").number(*own);
  return teller.words(".").done();
}

SummaryLine tell_cost(const Report& report) {
  SummaryLine line{.question = "What it cost", .answers = {}};
  const auto add = [&](const std::string& task, const std::string& metric) {
    if (Sentence sentence = tell_metric(report, task, metric); !sentence.empty())
      line.answers.push_back(std::move(sentence));
  };
  for (const std::string& task : tasks_of(report)) {
    if (task == "speed" || task == "memory" || task == "size") continue;
    const std::string metric = headline_metric(report, task);
    if (!metric.empty()) add(task, metric);
    if (task == "divergence" && metric != "top1_agreement") add(task, "top1_agreement");
  }
  add("speed", "decode");
  return line;
}

/// The comparisons of one task and metric between candidates, or with the reference where there is one only.
struct Contest {
  std::string task, metric;
  std::vector<const PairedComparison*> pairs;
};

std::vector<Contest> find_contests(const Report& report) {
  std::vector<Contest> contests;
  const bool alone = candidates(report).size() < 2;
  for (const PairedComparison& pair : report.comparisons) {
    const bool with_reference = pair.first == report.reference || pair.second == report.reference;
    if (with_reference && !alone) continue;
    auto found = std::find_if(contests.begin(), contests.end(), [&](const Contest& c) {
      return c.task == pair.task && c.metric == pair.metric;
    });
    if (found == contests.end()) found = contests.insert(contests.end(), {pair.task, pair.metric, {}});
    found->pairs.push_back(&pair);
  }
  std::stable_sort(contests.begin(), contests.end(), [](const Contest& a, const Contest& b) {
    return task_order(a.task) < task_order(b.task);
  });
  return contests;
}

/// The candidate that won every one of its pairs and met every other; nothing without such.
std::optional<std::string> find_champion(const Report& report, const Contest& contest) {
  for (const std::string& label : candidates(report)) {
    size_t met = 0, won = 0;
    for (const PairedComparison* pair : contest.pairs) {
      if (pair->first != label && pair->second != label) continue;
      ++met;
      won += winner_of(*pair) == label;
    }
    if (met > 0 && met == won && met + 1 >= candidates(report).size()) return label;
  }
  return std::nullopt;
}

/// A single pair in full; of several, the champion and how many pairs showed nothing.
Sentence tell_contest(const Report& report, const Contest& contest) {
  const MetricFact fact = metric_fact(contest.task, contest.metric);
  Teller teller;
  teller.words(fact.title + ": ");
  if (contest.pairs.size() == 1) {
    const PairedComparison& pair = *contest.pairs.front();
    const auto winner = winner_of(pair);
    if (!winner) {
      teller.words("between ").subjects({pair.first, pair.second});
      return teller.words(" " + describe_no_difference(pair) + ".").done();
    }
    teller.subject(*winner)
        .words(" is better than ")
        .subject(*winner == pair.first ? pair.second : pair.first);
    return teller.words(", by " + format_difference(pair.difference, pair.unit).line() + ".").done();
  }
  std::vector<const PairedComparison*> open;
  for (const PairedComparison* pair : contest.pairs)
    if (!winner_of(*pair)) open.push_back(pair);
  if (const auto champion = find_champion(report, contest)) {
    teller.subject(*champion).words(" is better than every other candidate");
  } else {
    teller.words("no candidate is better than all others");
  }
  if (open.empty()) return teller.words(", and every pair differs beyond chance.").done();
  teller.words(open.size() == contest.pairs.size()
                   ? "; none of the " + count_of(open.size(), "pair", "pairs") + " shows a difference: "
                   : "; " + count_of(open.size(), "pair shows", "pairs show") + " no difference: ");
  constexpr size_t kMostNamed = 3;
  for (size_t i = 0; i < std::min(open.size(), kMostNamed); ++i) {
    teller.words(i == 0 ? "" : ", ").subjects({open[i]->first, open[i]->second});
    teller.words(" (n = " + format_whole(open[i]->difference.n));
    if (open[i]->n_needed) teller.words("; about " + format_whole(*open[i]->n_needed) + " would show it");
    teller.words(")");
  }
  return teller.words(open.size() > kMostNamed ? " and others." : ".").done();
}

SummaryLine tell_winners(const Report& report) {
  SummaryLine line{.question = "Who wins", .answers = {}};
  for (const Contest& contest : find_contests(report)) line.answers.push_back(tell_contest(report, contest));
  return line;
}

}  // namespace

std::vector<SummaryLine> summarize(const Report& report) {
  std::vector<SummaryLine> lines;
  for (SummaryLine& line : std::vector<SummaryLine>{tell_subjects(report), tell_verdicts(report),
                                                    tell_cost(report), tell_winners(report)})
    if (!line.answers.empty()) lines.push_back(std::move(line));
  return lines;
}

}  // namespace assay
