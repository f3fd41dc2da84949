#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/memory.hpp"
#include "report/charts.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"
#include "report/page_sections.hpp"
#include "report/report_summary.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

void add_sentence(Markup& out, const Report& report, const Sentence& sentence) {
  const auto paragraph = out.in("p");
  for (const SentencePart& part : sentence) {
    switch (part.kind) {
      case SentencePart::Kind::kWords:
        out.text(part.text);
        break;
      case SentencePart::Kind::kSubject:
        add_subject(out, report, part.text);
        break;
      case SentencePart::Kind::kNumber:
        add_number(out, report, part.measurement, NumberStyle::kBrief);
        break;
    }
  }
}

/// The columns of the first table: what each task says first, and what a file costs to run.
struct Headline {
  std::string task, metric, unit;
};
std::vector<Headline> headlines(const Report& report) {
  std::vector<Headline> found;
  const auto add = [&](const std::string& task, const std::string& metric) {
    const auto first =
        std::find_if(report.measurements.begin(), report.measurements.end(),
                     [&](const Measurement& m) { return m.task == task && m.metric == metric; });
    if (first != report.measurements.end()) found.push_back({task, metric, first->unit});
  };
  for (const std::string& task : tasks_of(report)) {
    if (task == "speed" || task == "memory" || task == "size") continue;
    const std::string metric = headline_metric(report, task);
    if (!metric.empty()) add(task, metric);
    if (task == "divergence" && metric != "top1_agreement") add(task, "top1_agreement");
  }
  add("speed", "decode");
  add("memory", "peak_rss");
  return found;
}

void add_size_cell(Markup& out, const Subject& subject) {
  if (!has_size(subject)) return add_cell(out, "–", "", "n none");
  const std::string size = format_size(static_cast<double>(subject.bytes));
  const size_t dot = size.find(" · ");
  const auto cell = out.in("td", {{"class", "n"},
                                  {"data-sort", std::to_string(subject.bytes)},
                                  {"title", format_count(subject.bytes) + " bytes"}});
  out.leaf("span", size.substr(0, dot), {{"class", "value"}});
  if (dot != size.npos)
    out.text(" ").leaf("span", size.substr(dot + std::string(" · ").size()), {{"class", "ci"}});
}

void add_subject_row(Markup& out, const Report& report, const Subject& subject,
                     const std::vector<Headline>& columns) {
  const auto row = out.in("tr");
  {
    const auto cell = out.in("td", {{"data-sort", subject.label}});
    add_subject(out, report, subject.label);
    if (subject.label == report.reference) out.text(" ").leaf("span", "reference", {{"class", "badge"}});
  }
  add_size_cell(out, subject);
  const bool bits = has_size(subject) && std::isfinite(subject.bits_per_weight);
  add_cell(out, bits ? fmt::format("{:.3f}", subject.bits_per_weight) : "–", "", bits ? "n" : "n none");
  {
    const auto cell = out.in("td");
    const char* tone = !is_trusted(subject)             ? "badge bad"
                       : subject.proven.value_or(false) ? "badge good"
                                                        : "badge";
    out.leaf("span", describe_verdict(subject), {{"class", tone}});
  }
  for (const Headline& column : columns)
    add_number_cell(out, report, find_headline(report, subject.label, column.task, column.metric));
}

void add_overview(Markup& out, const Report& report) {
  const std::vector<Headline> columns = headlines(report);
  std::vector<TableHead> heads = {
      {.title = "", .numeric = false},
      {.title = "size", .hint = "bytes on disk"},
      {.title = "bits/weight", .hint = "all bytes of the weights, scales included"},
      {.title = "verdict", .hint = "what inspect and verify found", .numeric = false}};
  heads.front().title = "file";
  for (const Headline& column : columns) {
    const MetricFact fact = metric_fact(column.task, column.metric);
    heads.push_back({.title = fact.title, .hint = fact.meaning, .unit = column.unit});
  }
  add_table(
      out,
      "Everything at a glance; small figures are 95 % intervals. Every number leads to what it rests on.",
      heads, [&] {
        for (const Subject& subject : report.subjects) add_subject_row(out, report, subject, columns);
      });
}

void add_pair_row(Markup& out, const Report& report, size_t index) {
  const PairedComparison& pair = report.comparisons[index];
  const auto winner = winner_of(pair);
  const auto row = out.in("tr");
  add_cell(out, metric_fact(pair.task, pair.metric).title);
  for (const std::string& label : {pair.first, pair.second}) {
    const auto cell = out.in("td", {{"data-sort", label}});
    add_subject(out, report, label);
  }
  {
    const NumberText number = format_difference(pair.difference, pair.unit);
    const auto cell = out.in("td", {{"class", "n"}, {"data-sort", sort_key(pair.difference.value)}});
    const auto link =
        out.in("a", {{"class", "num"},
                     {"href", "#c" + std::to_string(index)},
                     {"title", pair.second + " minus " + pair.first + "\n" + number.line() + "\nn = " +
                                   format_whole(pair.difference.n) + "\n" + format_settings(pair.settings)}});
    out.leaf("span", number.value + (number.unit.empty() ? "" : " " + number.unit), {{"class", "value"}});
    if (!number.interval.empty()) out.text(" ").leaf("span", number.interval, {{"class", "ci"}});
  }
  add_cell(out, format_whole(pair.difference.n), std::to_string(pair.difference.n), "n");
  add_cell(out, pair.p ? format_p(*pair.p) : "–", pair.p ? sort_key(*pair.p) : "", pair.p ? "n" : "n none");
  add_cell(out, pair.p_holm ? format_p(*pair.p_holm) : "–", pair.p_holm ? sort_key(*pair.p_holm) : "",
           pair.p_holm ? "n" : "n none");
  const auto cell = out.in("td", {{"class", "long"}});
  if (!winner) {
    out.leaf("span", describe_no_difference(pair), {{"class", "muted"}});
    return;
  }
  add_subject(out, report, *winner);
  constexpr double kLevel = 0.05;
  if (pair.p_holm && *pair.p_holm > kLevel)
    out.text(" ").leaf("span", "not after Holm's correction for all pairs", {{"class", "muted"}});
}

}  // namespace

void add_summary(Markup& out, const Report& report) {
  if (report.subjects.empty()) return;
  {
    const auto list = out.in("dl", {{"class", "short"}});
    for (const SummaryLine& line : summarize(report)) {
      out.leaf("dt", line.question);
      const auto answer = out.in("dd");
      for (const Sentence& sentence : line.answers) add_sentence(out, report, sentence);
    }
  }
  add_overview(out, report);
}

void add_advice(Markup& out, const Report& report) {
  if (report.advice.empty()) return;
  const auto list = out.in("ul");
  for (const Advice& advice : report.advice) {
    const auto item = out.in("li");
    out.text(advice.text);
    bool first = true;
    for (const size_t index : advice.measurements) {
      if (index >= report.measurements.size()) continue;
      const Measurement& m = report.measurements[index];
      out.own(first ? "<br>" : "; ");
      if (first) out.leaf("span", "rests on ", {{"class", "muted"}});
      out.leaf("span", m.subject + ", " + metric_fact(m.task, m.metric).title + " ", {{"class", "muted"}});
      add_number(out, report, index);
      first = false;
    }
  }
}

void add_quality(Markup& out, const Report& report) {
  const std::vector<QualityChart> charts = quality_charts(report);
  for (size_t i = 0; i < charts.size(); ++i) {
    const QualityChart& chart = charts[i];
    const bool hollow =
        std::any_of(chart.points.begin(), chart.points.end(), [](const auto& p) { return !p.main; });
    std::string note = "Further left is smaller, further ";
    note += chart.lower_is_better ? "down is closer to the reference" : "up is better";
    note += chart.logarithmic ? " (each line is ten times the one below or a part of it)." : ".";
    note += " Dashed: the Pareto front, the files that no other here is both smaller and better than.";
    if (hollow) note += " Filled: exact arithmetic; hollow: the same file in fast arithmetic.";
    add_figure(out, fmt::format("chart-quality-{}", i),
               chart.title + " against file size" + (chart.condition.empty() ? "" : ", " + chart.condition),
               note, [&](double width, const std::string& id, const std::string& css) {
                 return draw_quality(report, chart, width, id, css);
               });
  }
}

void add_comparisons(Markup& out, const Report& report) {
  if (report.comparisons.empty()) return;
  out.leaf(
      "p",
      "Both sides of a pair met the same items, so what they share cancels. A winner is named only where the "
      "interval of the difference excludes 0; otherwise the table says how many items would show a "
      "difference "
      "of that size.");
  const std::vector<ForestChart> charts = forest_charts(report);
  for (size_t i = 0; i < charts.size(); ++i)
    add_figure(out, fmt::format("chart-pairs-{}", i), metric_fact(charts[i].task, charts[i].metric).title,
               "Differences with 95 % intervals; hollow ones include 0.",
               [&](double width, const std::string& id, const std::string& css) {
                 return draw_forest(report, charts[i], width, id, css);
               });
  add_table(out, "Paired differences, second minus first",
            {{.title = "metric", .numeric = false},
             {.title = "first", .numeric = false},
             {.title = "second", .numeric = false},
             {.title = "difference"},
             {.title = "n"},
             {.title = "p"},
             {.title = "p (Holm)", .hint = "corrected for all comparisons of this report"},
             {.title = "better", .numeric = false}},
            [&] {
              for (size_t i = 0; i < report.comparisons.size(); ++i) add_pair_row(out, report, i);
            });
}

}  // namespace assay
