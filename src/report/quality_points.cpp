// Which points the charts of quality against bytes show; chart_quality.cpp draws them.
#include <algorithm>
#include <cmath>
#include <map>

#include "report/charts.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

bool can_be_drawn(const Report& report, const Measurement& m) {
  const Subject* subject = find_subject(report, m.subject);
  return subject != nullptr && has_size(*subject) && std::isfinite(m.value);
}

/// The condition's value of a row: how its numbers were computed is told apart by filled and hollow marks.
std::string condition_text(const MetricTable& table, const MetricTable::Row& row) {
  std::string text;
  for (size_t i = 0; i < table.conditions.size(); ++i)
    if (table.conditions[i] != "compute" && !row.conditions[i].empty())
      text += (text.empty() ? "" : ", ") + table.conditions[i] + " " + row.conditions[i];
  return text;
}

/// The charts of the table's first column, one for every condition.
void add_charts(const Report& report, const MetricTable& table, size_t column,
                std::vector<QualityChart>& charts) {
  const MetricFact fact = metric_fact(table.task, table.columns[column].metric);
  std::map<std::string, QualityChart> found;
  std::vector<std::string> order;
  for (const MetricTable::Row& row : table.rows) {
    if (!row.cells[column] || !can_be_drawn(report, report.measurements[*row.cells[column]])) continue;
    const std::string condition = condition_text(table, row);
    const auto [at, fresh] = found.try_emplace(
        condition, QualityChart{.title = fact.title,
                                .condition = condition,
                                .unit = table.columns[column].unit,
                                .lower_is_better = fact.direction == Direction::kLowerIsBetter,
                                .logarithmic = table.task == "divergence",
                                .points = {}});
    if (fresh) order.push_back(condition);
    at->second.points.push_back({.measurement = *row.cells[column]});
  }
  for (const std::string& condition : order) charts.push_back(std::move(found[condition]));
}

bool is_exact(const Measurement& m) {
  return m.settings.is_object() && m.settings.contains("compute") &&
         setting_text(m.settings["compute"]) == "exact";
}

/// Of a subject's points exact arithmetic is the one that it is judged by, else the first.
void choose_main_points(const Report& report, QualityChart& chart) {
  std::map<std::string, size_t> chosen;
  for (size_t i = 0; i < chart.points.size(); ++i) {
    const Measurement& m = report.measurements[chart.points[i].measurement];
    const auto [at, first] = chosen.try_emplace(m.subject, i);
    if (!first && is_exact(m) && !is_exact(report.measurements[chart.points[at->second].measurement]))
      at->second = i;
  }
  for (size_t i = 0; i < chart.points.size(); ++i)
    chart.points[i].main = chosen[report.measurements[chart.points[i].measurement].subject] == i;
}

}  // namespace

std::vector<QualityChart> quality_charts(const Report& report) {
  std::vector<QualityChart> charts;
  for (const std::string& task : tasks_of(report)) {
    if (task == "speed" || task == "memory" || task == "size") continue;
    const std::string metric = headline_metric(report, task);
    for (const MetricTable& table : metric_tables(report, task))
      for (size_t column = 0; column < table.columns.size(); ++column)
        if (table.columns[column].metric == metric) add_charts(report, table, column, charts);
  }
  for (QualityChart& chart : charts) {
    choose_main_points(report, chart);
    // Without any value above 0 there is no logarithm.
    chart.logarithmic =
        chart.logarithmic && std::any_of(chart.points.begin(), chart.points.end(), [&](const auto& p) {
          return report.measurements[p.measurement].value > 0.0;
        });
  }
  std::erase_if(charts, [](const QualityChart& chart) { return chart.points.size() < 2; });
  return charts;
}

std::vector<size_t> pareto_front(const Report& report, const QualityChart& chart) {
  const auto value = [&](size_t i) {
    const double v = report.measurements[chart.points[i].measurement].value;
    return chart.lower_is_better ? v : -v;
  };
  const auto bytes = [&](size_t i) {
    return find_subject(report, report.measurements[chart.points[i].measurement].subject)->bytes;
  };
  std::vector<size_t> order, front;
  for (size_t i = 0; i < chart.points.size(); ++i)
    if (chart.points[i].main) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return bytes(a) != bytes(b) ? bytes(a) < bytes(b) : value(a) < value(b);
  });
  for (const size_t i : order)
    if (front.empty() || value(i) < value(front.back())) front.push_back(i);
  return front;
}

}  // namespace assay
