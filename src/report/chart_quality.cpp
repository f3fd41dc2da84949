#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/charts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

struct Box {
  double left, top, right, bottom;
  bool overlaps(const Box& other) const noexcept {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

/// What to divide bytes by on the axis.
struct SizeUnit {
  double bytes;
  const char* name;
};
SizeUnit choose_unit(double most) {
  if (most >= 1e8) return {1e9, "GB (10⁹ bytes)"};
  if (most >= 1e5) return {1e6, "MB (10⁶ bytes)"};
  return {1e3, "kB (10³ bytes)"};
}

double bytes_of(const Report& report, const Measurement& m) {
  const Subject* subject = find_subject(report, m.subject);
  return subject != nullptr ? static_cast<double>(subject->bytes) : 0.0;
}

/// Everything the parts of the picture share.
struct Plot {
  const Report& report;
  const QualityChart& chart;
  Scale x, y;
  SizeUnit unit;
  double width, height, left, right, top, bottom;
  bool has_zero = false;  ///< values of 0 stand on a line of their own below the logarithm

  const Measurement& of(const QualityChart::Point& point) const {
    return report.measurements[point.measurement];
  }
  double px(const Measurement& m) const { return x(bytes_of(report, m) / unit.bytes); }
  double py(double value) const { return chart.logarithmic && value <= 0.0 ? bottom - 12 : y(value); }
};

Scale value_scale(const Plot& plot) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const QualityChart::Point& point : plot.chart.points) {
    const Measurement& m = plot.of(point);
    for (const double value : {m.value, m.low.value_or(m.value), m.high.value_or(m.value)}) {
      if (!std::isfinite(value) || (plot.chart.logarithmic && value <= 0.0)) continue;
      low = std::min(low, value), high = std::max(high, value);
    }
  }
  if (plot.chart.logarithmic)
    return scale_decades(low, high, plot.bottom - (plot.has_zero ? 30 : 0), plot.top);
  return scale_around(low, high, plot.bottom, plot.top);
}

Plot make_plot(const Report& report, const QualityChart& chart, double width) {
  const bool narrow = width < 500;
  Plot plot{.report = report,
            .chart = chart,
            .x = {},
            .y = {},
            .unit = {},
            .width = width,
            .height = narrow ? 340.0 : 420.0,
            .left = narrow ? 50.0 : 64.0,
            .right = width - 12,
            .top = 34,
            .bottom = 0};
  plot.bottom = plot.height - 44;
  double most = 0.0;
  for (const Subject& subject : report.subjects)
    if (has_size(subject)) most = std::max(most, static_cast<double>(subject.bytes));
  plot.unit = choose_unit(most);
  plot.x = scale_from_zero(most / plot.unit.bytes, plot.left, plot.right - 8);
  for (const QualityChart::Point& point : chart.points)
    plot.has_zero = plot.has_zero || (chart.logarithmic && plot.of(point).value <= 0.0);
  plot.y = value_scale(plot);
  return plot;
}

void draw_axes(Drawing& drawing, const Plot& plot) {
  drawing.grid_y(plot.y, plot.left, plot.right, 8, plot.chart.unit == "share");
  if (plot.has_zero) {
    drawing.line(plot.left, plot.bottom - 12, plot.right, plot.bottom - 12, "grid dashed");
    drawing.label(plot.left - 6, plot.bottom - 8, "0", "tick", Anchor::kEnd);
  }
  drawing.line(plot.left, plot.bottom, plot.right, plot.bottom, "axis");
  drawing.ticks_x(plot.x, plot.bottom, plot.width < 500 ? 4 : 7);
  drawing.label(plot.right, plot.height - 6, std::string("file size, ") + plot.unit.name, "name",
                Anchor::kEnd);
  const std::string better = plot.chart.lower_is_better ? "↓ lower is better" : "↑ higher is better";
  const std::string unit = plot.chart.unit == "share" ? "" : ", " + plot.chart.unit;
  drawing.label(0, 14, fit_text(plot.chart.title + unit + "  " + better, plot.width), "name");
}

void draw_front(Drawing& drawing, const Plot& plot) {
  std::string path;
  double last = 0.0;
  for (const size_t i : pareto_front(plot.report, plot.chart)) {
    const Measurement& m = plot.of(plot.chart.points[i]);
    const std::string here = coordinate(plot.px(m));
    if (!path.empty()) path += "L" + here + " " + coordinate(last);
    path += (path.empty() ? "M" : "L") + here + " " + coordinate(plot.py(m.value));
    last = plot.py(m.value);
  }
  drawing.path(path, "front");
}

std::string point_title(const Plot& plot, const Measurement& m) {
  return m.subject + "\n" + format_size(bytes_of(plot.report, m)) + "\n" + describe_basis(m);
}

void draw_point(Drawing& drawing, const Plot& plot, const QualityChart::Point& point) {
  const Measurement& m = plot.of(point);
  const double x = plot.px(m), y = plot.py(m.value);
  const std::string css = subject_class(plot.report, m.subject);
  if (m.low && m.high && point.main) {
    drawing.line(x, plot.py(*m.low), x, plot.py(*m.high), "whisker " + css);
    for (const double end : {*m.low, *m.high})
      drawing.line(x - 4, plot.py(end), x + 4, plot.py(end), "whisker " + css);
  }
  drawing.mark(subject_mark(plot.report, m.subject), x, y, point.main ? 6 : 4.5,
               (point.main ? "mark " : "mark hollow ") + css, point_title(plot, m));
}

/// What a name should not be written across: marks, intervals and the front.
std::vector<Box> obstacles(const Plot& plot) {
  std::vector<Box> taken;
  for (const QualityChart::Point& point : plot.chart.points) {
    const Measurement& m = plot.of(point);
    const double x = plot.px(m), y = plot.py(m.value);
    taken.push_back({x - 7, y - 7, x + 7, y + 7});
    if (point.main && m.low && m.high) taken.push_back({x - 4, plot.py(*m.high), x + 4, plot.py(*m.low)});
  }
  const std::vector<size_t> front = pareto_front(plot.report, plot.chart);
  for (size_t i = 1; i < front.size(); ++i) {
    const Measurement& a = plot.of(plot.chart.points[front[i - 1]]);
    const Measurement& b = plot.of(plot.chart.points[front[i]]);
    const double ya = plot.py(a.value), yb = plot.py(b.value);
    taken.push_back({plot.px(a), ya - 1, plot.px(b), ya + 1});
    taken.push_back({plot.px(b) - 1, std::min(ya, yb), plot.px(b) + 1, std::max(ya, yb)});
  }
  return taken;
}

/// Names the points: beside, above or below, wherever nothing else stands.
void draw_labels(Drawing& drawing, const Plot& plot) {
  std::vector<Box> taken = obstacles(plot);
  for (const QualityChart::Point& point : plot.chart.points) {
    if (!point.main) continue;
    const double x = plot.px(plot.of(point)), y = plot.py(plot.of(point).value);
    const std::string name = fit_text(plot.of(point).subject, plot.width < 500 ? 110 : 190);
    const double w = text_width(name);
    std::vector<Box> places;
    for (const double up : {8.0, 24.0, -8.0, 40.0, -24.0}) {
      places.push_back({x + 10, y - up, x + 10 + w, y - up + 16});
      places.push_back({x - 10 - w, y - up, x - 10, y - up + 16});
    }
    const auto fits = [&](const Box& box) {
      const bool inside = box.left >= plot.left && box.right <= plot.width && box.top >= plot.top - 12 &&
                          box.bottom <= plot.bottom;
      return inside &&
             std::none_of(taken.begin(), taken.end(), [&](const Box& t) { return t.overlaps(box); });
    };
    auto place = std::find_if(places.begin(), places.end(), fits);
    if (place == places.end()) place = places.begin() + (x + 10 + w <= plot.width ? 0 : 1);
    taken.push_back(*place);
    // Anchored at the side of the mark: how wide the name really is the browser knows alone.
    const bool before = place->left < x;
    drawing.label(before ? place->right : place->left, place->bottom - 4, name, "direct",
                  before ? Anchor::kEnd : Anchor::kStart);
  }
}

std::string describe(const Plot& plot) {
  std::string text = plot.chart.title + " against file size.";
  for (const QualityChart::Point& point : plot.chart.points)
    if (point.main)
      text += " " + plot.of(point).subject + ": " + format_size(bytes_of(plot.report, plot.of(point))) +
              ", " + format_number(plot.of(point)).line() + ".";
  return text;
}

}  // namespace

std::string draw_quality(const Report& report, const QualityChart& chart, double width, const std::string& id,
                         const std::string& css_class) {
  const Plot plot = make_plot(report, chart, width);
  Drawing drawing(id, width, plot.height, chart.title + " against file size", describe(plot), css_class);
  draw_axes(drawing, plot);
  draw_front(drawing, plot);
  for (const bool main : {false, true})  // what a file is judged by lies on top
    for (const QualityChart::Point& point : chart.points)
      if (point.main == main) draw_point(drawing, plot, point);
  draw_labels(drawing, plot);
  return drawing.take();
}

}  // namespace assay
