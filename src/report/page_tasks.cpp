#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/charts.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"
#include "report/page_sections.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

void add_metric_table(Markup& out, const Report& report, const MetricTable& table) {
  std::vector<TableHead> heads = {{.title = "file", .numeric = false}};
  for (const std::string& condition : table.conditions)
    heads.push_back({.title = condition, .numeric = false});
  for (const MetricTable::Column& column : table.columns) {
    const MetricFact fact = metric_fact(table.task, column.metric);
    heads.push_back({.title = fact.title, .hint = fact.meaning, .unit = column.unit});
  }
  add_table(out, table.title.empty() ? task_title(table.task) : table.title, heads, [&] {
    for (const MetricTable::Row& row : table.rows) {
      const auto line = out.in("tr");
      {
        const auto cell = out.in("td", {{"data-sort", row.subject}});
        add_subject(out, report, row.subject);
      }
      for (const std::string& condition : row.conditions) add_cell(out, condition);
      for (const auto& cell : row.cells) add_number_cell(out, report, cell);
    }
  });
}

Basis basis_of(const Series& line) {
  int64_t counted = 0;
  for (const Series::Point& point : line.points) counted += point.n;
  return {.n = format_whole(counted) + (line.n_unit.empty() ? "" : " " + line.n_unit) + " in " +
               format_whole(static_cast<int64_t>(line.points.size())) + " points",
          .interval = "",  // the settings say how it was made
          .settings = line.settings,
          .file_sha256 = line.file_sha256};
}

Basis basis_of(const ConfusionMatrix& matrix) {
  int64_t rows = 0;
  for (const std::vector<int64_t>& counts : matrix.counts)
    for (const int64_t count : counts) rows += count;
  for (const int64_t count : matrix.unparsed) rows += count;
  return {.n = format_whole(rows) + " rows",
          .interval = "none: counts; the shares made of them have one",
          .settings = matrix.settings,
          .file_sha256 = matrix.file_sha256};
}

/// The points of a chart as a table, for who cannot point at them.
void add_points(Markup& out, const Report& report, const SeriesChart& chart, const std::string& title) {
  const auto fold = out.in("details", {{"class", "more"}});
  out.leaf("summary", "The numbers of this chart");
  add_table(
      out, title,
      {{.title = "file", .numeric = false}, {.title = chart.x_name}, {.title = "value"}, {.title = "n"}},
      [&] {
        for (const Series* line : chart.lines) {
          for (const Series::Point& point : line->points) {
            const auto row = out.in("tr");
            {
              const auto cell = out.in("td", {{"data-sort", line->subject}});
              add_subject(out, report, line->subject);
            }
            add_cell(out, point.label.empty() ? tick_text(point.x) : point.label, sort_key(point.x), "n");
            add_cell(out, format_number(point.y, point.low, point.high, line->unit).line(), sort_key(point.y),
                     "n");
            add_cell(out, format_whole(point.n), std::to_string(point.n), "n");
          }
        }
      });
  for (const Series* line : chart.lines)
    add_basis(out, "What " + line->subject + "'s numbers rest on", basis_of(*line));
}

void add_series(Markup& out, const Report& report, const SeriesChart& chart, const std::string& id) {
  const std::string title = metric_fact(chart.task, chart.metric).title + " by " + chart.x_name;
  add_figure(out, id, title, "Bands are 95 % intervals.",
             [&](double width, const std::string& chart_id, const std::string& css) {
               return draw_series(report, chart, width, chart_id, css);
             });
  add_points(out, report, chart, title);
}

void add_matrix(Markup& out, const Report& report, const ConfusionMatrix& matrix) {
  const size_t size = std::min(matrix.labels.size(), matrix.counts.size());
  std::vector<TableHead> heads = {{.title = "truth ↓  answer →", .numeric = false}};
  for (const std::string& label : matrix.labels) heads.push_back({.title = label});
  if (!matrix.unparsed.empty()) heads.push_back({.title = "unreadable"});
  const auto frame = out.in("div", {{"class", "matrix " + subject_class(report, matrix.subject)}});
  const std::string caption = matrix.subject + (matrix.dataset.empty() ? "" : ", " + matrix.dataset);
  add_table(
      out, caption, heads,
      [&] {
        for (size_t truth = 0; truth < size; ++truth) {
          const auto row = out.in("tr");
          out.leaf("th", matrix.labels[truth], {{"scope", "row"}});
          const std::vector<int64_t>& counts = matrix.counts[truth];
          double total = truth < matrix.unparsed.size() ? static_cast<double>(matrix.unparsed[truth]) : 0.0;
          for (const int64_t count : counts) total += static_cast<double>(count);
          const auto add = [&](int64_t count, bool same) {
            const double share = total > 0 ? std::clamp(static_cast<double>(count) / total, 0.0, 1.0) : 0.0;
            out.leaf("td", format_whole(count),
                     {{"class", same ? "n same" : "n"}, {"style", fmt::format("--share:{:.2f}", share)}});
          };
          for (size_t answer = 0; answer < std::min(counts.size(), matrix.labels.size()); ++answer)
            add(counts[answer], answer == truth);
          if (truth < matrix.unparsed.size()) add(matrix.unparsed[truth], false);
        }
      },
      false);
  add_basis(out, "What these counts rest on", basis_of(matrix));
}

}  // namespace

std::vector<std::string> section_tasks(const Report& report) {
  std::vector<std::string> tasks = tasks_of(report);
  for (const SeriesChart& chart : series_charts(report))
    if (std::find(tasks.begin(), tasks.end(), chart.task) == tasks.end()) tasks.push_back(chart.task);
  std::erase_if(tasks, [](const std::string& t) { return t == "speed" || t == "memory" || t == "size"; });
  return tasks;
}

void add_task(Markup& out, const Report& report, const std::string& task) {
  if (const std::string meaning = task_meaning(task); !meaning.empty()) out.leaf("p", meaning);
  for (const MetricTable& table : metric_tables(report, task)) add_metric_table(out, report, table);
  const std::vector<SeriesChart> charts = series_charts(report);
  for (size_t i = 0; i < charts.size(); ++i)
    if (charts[i].task == task) add_series(out, report, charts[i], fmt::format("chart-series-{}", i));
}

void add_speed(Markup& out, const Report& report) {
  const std::vector<BarChart> charts = bar_charts(report);
  for (size_t i = 0; i < charts.size(); ++i) {
    const MetricFact fact = metric_fact(charts[i].task, charts[i].metric);
    add_figure(out, fmt::format("chart-bars-{}", i), fact.title,
               fact.meaning.empty() ? "" : fact.meaning + ".",
               [&](double width, const std::string& id, const std::string& css) {
                 return draw_bars(report, charts[i], width, id, css);
               });
  }
  for (const char* task : {"speed", "memory", "size"})
    for (const MetricTable& table : metric_tables(report, task)) add_metric_table(out, report, table);
}

void add_matrices(Markup& out, const Report& report) {
  if (report.matrices.empty()) return;
  out.leaf(
      "p",
      "Rows are what is true, columns what the model answered; the shade is the share of the row. Answers in "
      "which no label can be read stand apart.");
  std::vector<std::string> tasks;
  for (const ConfusionMatrix& matrix : report.matrices)
    if (std::find(tasks.begin(), tasks.end(), matrix.task) == tasks.end()) tasks.push_back(matrix.task);
  for (const std::string& task : tasks) {
    if (tasks.size() > 1) out.leaf("h3", task_title(task));
    const auto group = out.in("div", {{"class", "matrices"}});
    for (const ConfusionMatrix& matrix : report.matrices)
      if (matrix.task == task) add_matrix(out, report, matrix);
  }
}

}  // namespace assay
