#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/charts.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"

namespace assay {
namespace {

using Point = Series::Point;

struct Plot {
  Scale x, y;
  double width, height, left, right, top, bottom;
  std::vector<std::string> categories;  ///< of the x axis, where its points have labels
  bool narrow;

  double px(const Point& point) const {
    const auto found = std::find(categories.begin(), categories.end(), point.label);
    return categories.empty() ? x(point.x) : x(static_cast<double>(found - categories.begin()));
  }
};

template <typename Visit>
void each_point(const SeriesChart& chart, Visit visit) {
  for (const Series* line : chart.lines)
    for (const Point& point : line->points)
      if (std::isfinite(point.y)) visit(point);
}

Scale value_scale(const SeriesChart& chart, double from, double to) {
  double low = std::numeric_limits<double>::infinity(), high = -low, least_positive = low;
  each_point(chart, [&](const Point& point) {
    low = std::min(low, point.y);
    for (const double value : {point.y, point.low.value_or(point.y), point.high.value_or(point.y)}) {
      if (std::isfinite(value)) high = std::max(high, value);
      if (value > 0.0) least_positive = std::min(least_positive, value);
    }
  });
  constexpr double kWide = 20;  // a range that a linear axis would flatten
  if (low >= 0.0 && high > kWide * std::max(low, least_positive) && least_positive < high)
    return scale_decades(least_positive, high, from, to);
  if (low >= 0.0 && low < 0.5 * high) return scale_from_zero(high, from, to);
  return scale_around(low, high, from, to);
}

Plot make_plot(const SeriesChart& chart, double width) {
  Plot plot{.x = {},
            .y = {},
            .width = width,
            .height = 300,
            .left = 58,
            .right = width - 150,
            .top = 32,
            .bottom = 0,
            .categories = {},
            .narrow = width < 500};
  if (plot.narrow) plot.left = 50, plot.right = width - 84, plot.height = 270;
  plot.bottom = plot.height - 44;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  each_point(chart, [&](const Point& point) {
    low = std::min(low, point.x), high = std::max(high, point.x);
    if (point.label.empty()) return;
    if (std::find(plot.categories.begin(), plot.categories.end(), point.label) == plot.categories.end())
      plot.categories.push_back(point.label);
  });
  if (plot.categories.empty()) {
    if (!std::isfinite(low) || high <= low) low = 0, high = 1;
    plot.x = {.low = low, .high = high, .from = plot.left + 6, .to = plot.right};
  } else {
    const auto last = static_cast<double>(plot.categories.size()) - 1;
    plot.x = {.low = -0.4, .high = last + 0.4, .from = plot.left, .to = plot.right};
  }
  plot.y = value_scale(chart, plot.bottom, plot.top);
  return plot;
}

void draw_axes(Drawing& drawing, const Plot& plot, const SeriesChart& chart) {
  drawing.grid_y(plot.y, plot.left, plot.right, 7, chart.unit == "share");
  drawing.line(plot.left, plot.bottom, plot.right, plot.bottom, "axis");
  if (plot.categories.empty()) {
    drawing.ticks_x(plot.x, plot.bottom, plot.narrow ? 3 : 6);
  } else {
    const double room = (plot.right - plot.left) / static_cast<double>(plot.categories.size());
    // Where the names do not fit side by side, only every second or third is written.
    double widest = 1;
    for (const std::string& name : plot.categories) widest = std::max(widest, text_width(name, 11));
    const auto stride = static_cast<size_t>(std::ceil((std::min(widest, 90.0) + 6) / std::max(1.0, room)));
    for (size_t i = 0; i < plot.categories.size(); i += std::max<size_t>(1, stride))
      drawing.label(plot.x(static_cast<double>(i)), plot.bottom + 17, fit_text(plot.categories[i], 90, 11),
                    "tick", Anchor::kMiddle);
  }
  drawing.label(plot.right, plot.height - 6, fit_text(chart.x_name, plot.right - plot.left), "name",
                Anchor::kEnd);
  const std::string title = metric_fact(chart.task, chart.metric).title;
  drawing.label(0, 14,
                fit_text(title + (chart.unit.empty() || chart.unit == "share" ? "" : ", " + chart.unit) +
                             (plot.y.logarithmic ? " (log scale)" : ""),
                         plot.width),
                "name");
}

std::string point_title(const Series& line, const SeriesChart& chart, const Point& point) {
  return line.subject + "\n" + chart.x_name + " " + (point.label.empty() ? tick_text(point.x) : point.label) +
         ": " + format_number(point.y, point.low, point.high, line.unit).line() +
         "\nn = " + format_whole(point.n) + (line.n_unit.empty() ? "" : " " + line.n_unit) + "\n" +
         basis_text({.n = {}, .interval = {}, .settings = line.settings, .file_sha256 = line.file_sha256});
}

/// The area between the intervals' ends, forth along the upper and back along the lower.
std::string band_path(const Plot& plot, const std::vector<const Point*>& points) {
  std::string forth, back;
  for (const Point* point : points) {
    if (!point->low || !point->high || !std::isfinite(*point->high - *point->low)) continue;
    const std::string x = coordinate(plot.px(*point));
    forth += (forth.empty() ? "M" : "L") + x + " " + coordinate(plot.y(*point->high));
    back = "L" + x + " " + coordinate(plot.y(*point->low)) + back;
  }
  return forth.empty() ? "" : forth + back + "Z";
}

void draw_line(Drawing& drawing, const Report& report, const Plot& plot, const SeriesChart& chart,
               const Series& line) {
  std::vector<const Point*> points;
  for (const Point& point : line.points)
    if (std::isfinite(point.y)) points.push_back(&point);
  std::sort(points.begin(), points.end(),
            [&](const Point* a, const Point* b) { return plot.px(*a) < plot.px(*b); });
  const std::string css = subject_class(report, line.subject);
  if (const std::string band = band_path(plot, points); !band.empty()) drawing.path(band, "band " + css);
  std::string path;
  for (const Point* point : points)
    path += (path.empty() ? "M" : "L") + coordinate(plot.px(*point)) + " " + coordinate(plot.y(point->y));
  drawing.path(path, "curve " + css);
  constexpr size_t kMostMarks = 40;
  const double radius = points.size() > kMostMarks ? 2.0 : 3.5;
  for (const Point* point : points)
    drawing.mark(subject_mark(report, line.subject), plot.px(*point), plot.y(point->y), radius, "mark " + css,
                 point_title(line, chart, *point));
}

/// Every line's name at its end, apart from each other.
void draw_names(Drawing& drawing, const Plot& plot, const SeriesChart& chart) {
  std::vector<double> heights;
  std::vector<const Series*> named;
  for (const Series* line : chart.lines) {
    const Point* last = nullptr;
    for (const Point& point : line->points)
      if (std::isfinite(point.y) && (last == nullptr || plot.px(point) >= plot.px(*last))) last = &point;
    if (last == nullptr) continue;
    heights.push_back(plot.y(last->y) + 4);
    named.push_back(line);
  }
  spread_apart(heights, 15, plot.top, plot.bottom);
  for (size_t i = 0; i < named.size(); ++i)
    drawing.label(plot.right + 8, heights[i], fit_text(named[i]->subject, plot.width - plot.right - 8),
                  "direct");
}

std::string describe(const SeriesChart& chart) {
  std::string text;
  for (const Series* line : chart.lines) {
    if (line->points.empty()) continue;
    const auto value = [&](const Point& p) { return format_number(p.y, p.low, p.high, line->unit).line(); };
    text +=
        line->subject + ": from " + value(line->points.front()) + " to " + value(line->points.back()) + ". ";
  }
  return text;
}

}  // namespace

std::vector<SeriesChart> series_charts(const Report& report) {
  std::vector<SeriesChart> charts;
  for (const Series& line : report.series) {
    const bool any = std::any_of(line.points.begin(), line.points.end(),
                                 [](const Point& p) { return std::isfinite(p.y); });
    if (!any) continue;
    auto found = std::find_if(charts.begin(), charts.end(), [&](const SeriesChart& chart) {
      return chart.task == line.task && chart.metric == line.metric && chart.x_name == line.x_name &&
             chart.unit == line.unit;
    });
    if (found == charts.end())
      found = charts.insert(charts.end(), {line.task, line.metric, line.x_name, line.unit, {}});
    found->lines.push_back(&line);
  }
  return charts;
}

std::string draw_series(const Report& report, const SeriesChart& chart, double width, const std::string& id,
                        const std::string& css_class) {
  const Plot plot = make_plot(chart, width);
  const std::string title = metric_fact(chart.task, chart.metric).title + " by " + chart.x_name;
  Drawing drawing(id, width, plot.height, title, describe(chart), css_class);
  draw_axes(drawing, plot, chart);
  for (const Series* line : chart.lines) draw_line(drawing, report, plot, chart, *line);
  draw_names(drawing, plot, chart);
  return drawing.take();
}

}  // namespace assay
