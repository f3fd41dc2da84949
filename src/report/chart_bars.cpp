#include <algorithm>
#include <cmath>

#include "report/charts.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

/// Where the rows of a bar or forest chart stand: names beside the bars, or above them on a phone.
struct Rows {
  double width, left, right, height, first;
  bool narrow;

  Rows(double picture_width, double names, double values)
      : width(picture_width),
        left(picture_width < 500 ? 2 : names),
        right(picture_width - values),
        height(picture_width < 500 ? 44 : 28),
        first(30),
        narrow(picture_width < 500) {}
  double middle(size_t row) const {
    return first + height * static_cast<double>(row) + (narrow ? height * 0.68 : height / 2);
  }
  double end(size_t rows) const { return first + height * static_cast<double>(rows); }

  void name(Drawing& drawing, size_t row, const std::string& text, const std::string& css_class) const {
    if (narrow) {
      drawing.label(left, middle(row) - 13, fit_text(text, width), css_class);
    } else {
      drawing.label(left - 10, middle(row) + 4, fit_text(text, left - 12), css_class, Anchor::kEnd);
    }
  }
};

std::string title_of(const std::string& task, const std::string& metric, const std::string& unit) {
  const MetricFact fact = metric_fact(task, metric);
  const char* better = fact.direction == Direction::kLowerIsBetter    ? "  ← lower is better"
                       : fact.direction == Direction::kHigherIsBetter ? "  → higher is better"
                                                                      : "";
  return fact.title + (unit.empty() || unit == "share" || unit == "bytes" ? "" : ", " + unit) + better;
}

/// The conditions under which a bar was measured, where its metric has several.
std::string condition_of(const Report& report, size_t measurement) {
  const Measurement& m = report.measurements[measurement];
  for (const MetricTable& table : metric_tables(report, m.task)) {
    for (const MetricTable::Row& row : table.rows) {
      if (std::find(row.cells.begin(), row.cells.end(), measurement) == row.cells.end()) continue;
      std::string text;
      for (const std::string& value : row.conditions) text += value.empty() ? "" : ", " + value;
      return text;
    }
  }
  return "";
}

double finite_or(std::optional<double> value, double fallback) {
  return value && std::isfinite(*value) ? *value : fallback;
}

/// The end of a bound that is missing or infinite lies at the edge of the picture.
struct Reach {
  double low, high;
};
Reach reach_of(const PairedComparison& pair, const Scale& x) {
  return {std::isfinite(pair.difference.low) ? pair.difference.low : x.low,
          std::isfinite(pair.difference.high) ? pair.difference.high : x.high};
}

Scale difference_scale(const ForestChart& chart, double from, double to) {
  double most = 0.0;
  for (const PairedComparison* pair : chart.pairs)
    for (const double value : {pair->difference.value, pair->difference.low, pair->difference.high})
      if (std::isfinite(value)) most = std::max(most, std::abs(value));
  if (most == 0.0) most = 1.0;
  const Scale half = scale_from_zero(most, 0, 1);
  return {.low = -half.high, .high = half.high, .from = from, .to = to};
}

void draw_pair(Drawing& drawing, const Report& report, const Rows& rows, const Scale& x, size_t row,
               const PairedComparison& pair) {
  const double y = rows.middle(row);
  const auto winner = winner_of(pair);
  const std::string shown = winner ? subject_class(report, *winner) : "other";
  rows.name(drawing, row, pair.second + " − " + pair.first, winner ? "direct" : "direct faint");
  const Reach reach = reach_of(pair, x);
  drawing.line(x(reach.low), y, x(reach.high), y, "whisker " + shown);
  for (const double end : {reach.low, reach.high})
    drawing.line(x(end), y - 4, x(end), y + 4, "whisker " + shown);
  if (!std::isfinite(pair.difference.value)) return;
  const std::string title = pair.second + " minus " + pair.first + ": " +
                            format_difference(pair.difference, pair.unit).line() +
                            "\nn = " + format_whole(pair.difference.n) + "\n" +
                            (winner ? "better: " + *winner : describe_no_difference(pair));
  drawing.mark(winner ? subject_mark(report, *winner) : Mark::kCircle, x(pair.difference.value), y, 5,
               (winner ? "mark " : "mark hollow ") + shown, title);
}

std::string describe(const ForestChart& chart) {
  std::string text;
  for (const PairedComparison* pair : chart.pairs) {
    const auto winner = winner_of(*pair);
    text += pair->second + " minus " + pair->first + ": " +
            format_difference(pair->difference, pair->unit).line() + ", " +
            (winner ? *winner + " is better" : describe_no_difference(*pair)) + ". ";
  }
  return text;
}

}  // namespace

std::vector<BarChart> bar_charts(const Report& report) {
  std::vector<BarChart> charts;
  for (const char* task : {"speed", "memory"}) {
    for (const MetricTable& table : metric_tables(report, task)) {
      for (size_t column = 0; column < table.columns.size(); ++column) {
        BarChart chart{.task = task, .metric = table.columns[column].metric, .measurements = {}};
        for (const MetricTable::Row& row : table.rows)
          if (row.cells[column] && std::isfinite(report.measurements[*row.cells[column]].value))
            chart.measurements.push_back(*row.cells[column]);
        if (!chart.measurements.empty()) charts.push_back(std::move(chart));
      }
    }
  }
  return charts;
}

std::string draw_bars(const Report& report, const BarChart& chart, double width, const std::string& id,
                      const std::string& css_class) {
  const Rows rows(width, 180, width < 500 ? 100 : 190);
  const std::string unit = report.measurements[chart.measurements.front()].unit;
  double most = 0.0;
  std::string description;
  for (const size_t index : chart.measurements) {
    const Measurement& m = report.measurements[index];
    most = std::max({most, m.value, finite_or(m.high, m.value)});
    description += m.subject + ": " + format_number(m).line() + ". ";
  }
  const Scale x{.low = 0.0, .high = most > 0.0 ? most : 1.0, .from = rows.left, .to = rows.right};
  const std::string title = title_of(chart.task, chart.metric, unit);
  Drawing drawing(id, width, rows.end(chart.measurements.size()) + 8, title, description, css_class);
  drawing.label(0, 14, fit_text(title, width), "name");
  for (size_t row = 0; row < chart.measurements.size(); ++row) {
    const Measurement& m = report.measurements[chart.measurements[row]];
    const std::string css = subject_class(report, m.subject);
    const double y = rows.middle(row);
    rows.name(drawing, row, m.subject + condition_of(report, chart.measurements[row]), "direct");
    drawing.rect(rows.left, y - 7, x(m.value) - rows.left, 14, "bar " + css,
                 m.subject + "\n" + describe_basis(m));
    if (m.low && m.high) drawing.line(x(*m.low), y, x(*m.high), y, "spread");
    const NumberText number = format_number(m);
    drawing.label(
        x(std::max(m.value, finite_or(m.high, m.value))) + 8, y + 4,
        fit_text(number.value + (rows.narrow || number.interval.empty() ? "" : "  " + number.interval),
                 width - x(m.value) - 8),
        "amount");
  }
  drawing.line(rows.left, rows.first - 2, rows.left, rows.end(chart.measurements.size()), "axis");
  return drawing.take();
}

std::vector<ForestChart> forest_charts(const Report& report) {
  std::vector<ForestChart> charts;
  for (const PairedComparison& pair : report.comparisons) {
    auto found = std::find_if(charts.begin(), charts.end(), [&](const ForestChart& chart) {
      return chart.task == pair.task && chart.metric == pair.metric && chart.unit == pair.unit;
    });
    if (found == charts.end()) found = charts.insert(charts.end(), {pair.task, pair.metric, pair.unit, {}});
    found->pairs.push_back(&pair);
  }
  return charts;
}

std::string draw_forest(const Report& report, const ForestChart& chart, double width, const std::string& id,
                        const std::string& css_class) {
  const Rows rows(width, 270, 14);
  const Scale x = difference_scale(chart, rows.left + 8, rows.right);
  const double bottom = rows.end(chart.pairs.size());
  Drawing drawing(id, width, bottom + 46,
                  metric_fact(chart.task, chart.metric).title + ", paired differences", describe(chart),
                  css_class);
  const bool higher = chart.pairs.front()->higher_is_better;
  drawing.label(x(0) - 10, 14, higher ? "← first is better" : "← second is better", "name", Anchor::kEnd);
  drawing.label(x(0) + 10, 14, higher ? "second is better →" : "first is better →", "name");
  drawing.ticks_x(x, bottom, rows.narrow ? 3 : 6, chart.unit == "share");
  drawing.line(x.from, bottom, x.to, bottom, "axis");
  drawing.line(x(0), 22, x(0), bottom, "zero");
  for (size_t row = 0; row < chart.pairs.size(); ++row)
    draw_pair(drawing, report, rows, x, row, *chart.pairs[row]);
  drawing.label(
      x.to, bottom + 36,
      "second − first" + (chart.unit.empty() ? "" : ", " + (chart.unit == "share" ? "points" : chart.unit)),
      "name", Anchor::kEnd);
  return drawing.take();
}

}  // namespace assay
