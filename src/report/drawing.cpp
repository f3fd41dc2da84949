#include "report/drawing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/table.hpp"
#include "text/unicode.hpp"

namespace assay {
namespace {

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
double round_step(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  return 10.0 * power;
}

/// Bounds between which a scale can be drawn, whatever the numbers were.
void mend_bounds(double& low, double& high) {
  if (!std::isfinite(low) || !std::isfinite(high)) low = 0.0, high = 1.0;
  if (high <= low) high = low + std::max(1.0, std::abs(low));
}

/// "10⁻⁴", "2×10⁻⁴"
std::string power_text(double value) {
  constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
  const int factor = static_cast<int>(std::lround(value / std::pow(10.0, exponent)));
  std::string text = factor == 1 ? "10" : fmt::format("{}×10", factor);
  if (text.starts_with('-')) text.replace(0, 1, "−");
  if (exponent < 0) text += "⁻";
  for (const char digit : std::to_string(std::abs(exponent))) text += kDigits[digit - '0'];
  return text;
}

const char* anchor_name(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "";
}

}  // namespace

double Scale::operator()(double value) const noexcept {
  if (std::isnan(value)) return from;
  double share = 0.0;
  if (logarithmic) {
    share = value <= low ? 0.0 : std::log(value / low) / std::log(high / low);
  } else {
    share = (value - low) / (high - low);
  }
  return from + std::clamp(share, 0.0, 1.0) * (to - from);
}

std::vector<double> Scale::ticks(int wanted) const {
  std::vector<double> found;
  if (!logarithmic) {
    const double step = round_step((high - low) / std::max(1, wanted));
    for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && found.size() < 100; ++i)
      found.push_back(i * step);
    return found;
  }
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const int last = static_cast<int>(std::floor(std::log10(high) + 1e-9));
  const int stride = std::max(1, (last - first + wanted) / std::max(1, wanted));
  for (int exponent = first; exponent <= last; exponent += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1.0 && last - first > 2) continue;
      const double tick = factor * std::pow(10.0, exponent);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) found.push_back(tick);
    }
  }
  return found;
}

Scale scale_from_zero(double most, double from, double to) {
  double low = 0.0;
  mend_bounds(low, most);
  const double step = round_step(most / 5);
  return {.low = 0.0, .high = std::ceil(most / step - 1e-9) * step, .from = from, .to = to};
}

Scale scale_around(double low, double high, double from, double to) {
  mend_bounds(low, high);
  const double step = round_step((high - low) / 5);
  return {.low = std::floor(low / step + 1e-9) * step,
          .high = std::ceil(high / step - 1e-9) * step,
          .from = from,
          .to = to};
}

Scale scale_decades(double low, double high, double from, double to) {
  // Powers of ten that a double holds with all its digits, whatever the numbers were.
  const double first = std::clamp(std::floor(std::log10(low) + 1e-9), -307.0, 307.0);
  const double last = std::clamp(std::ceil(std::log10(high) - 1e-9), first + 1, 308.0);
  return {.low = std::pow(10.0, first),
          .high = std::pow(10.0, last),
          .from = from,
          .to = to,
          .logarithmic = true};
}

std::string tick_text(double value) {
  if (value != 0.0 && std::isfinite(value) && (std::abs(value) < 0.9e-3 || std::abs(value) >= 1e7))
    return power_text(value);
  std::string text = fmt::format("{:.6f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  if (text == "-0") return "0";
  return text.starts_with('-') ? "−" + text.substr(1) : text;
}

Drawing::Drawing(const std::string& id, double width, double height, const std::string& title,
                 const std::string& description, const std::string& css_class) {
  out_.own("<svg");
  const auto attribute = [&](const char* name, const std::string& value) {
    out_.own(fmt::format(" {}=\"{}\"", name, escape_html(value)));
  };
  attribute("id", id);
  attribute("class", css_class);
  attribute("viewBox", "0 0 " + coordinate(width) + " " + coordinate(height));
  attribute("role", "img");
  attribute("aria-labelledby", id + "-title " + id + "-desc");
  out_.own(">");
  out_.leaf("title", title, {{"id", id + "-title"}});
  out_.leaf("desc", description, {{"id", id + "-desc"}});
}

void Drawing::line(double x1, double y1, double x2, double y2, const std::string& css_class) {
  out_.empty("line",
             {{"x1", coordinate(x1)},
              {"y1", coordinate(y1)},
              {"x2", coordinate(x2)},
              {"y2", coordinate(y2)},
              {"class", css_class}},
             true);
}

void Drawing::rect(double x, double y, double width, double height, const std::string& css_class,
                   const std::string& title, const std::string& style) {
  const auto element = out_.in("rect", {{"x", coordinate(x)},
                                        {"y", coordinate(y)},
                                        {"width", coordinate(std::max(0.0, width))},
                                        {"height", coordinate(std::max(0.0, height))},
                                        {"class", css_class},
                                        {"style", style}});
  if (!title.empty()) out_.leaf("title", title);
}

void Drawing::path(const std::string& commands, const std::string& css_class) {
  out_.empty("path", {{"d", commands}, {"class", css_class}}, true);
}

void Drawing::label(double x, double y, std::string_view text, const std::string& css_class, Anchor anchor) {
  out_.leaf("text", text,
            {{"x", coordinate(x)},
             {"y", coordinate(y)},
             {"class", css_class},
             {"text-anchor", anchor_name(anchor)}});
}

void Drawing::mark(Mark mark, double x, double y, double radius, const std::string& css_class,
                   const std::string& title) {
  const auto element = out_.in("path", {{"d", mark_path(mark, x, y, radius)}, {"class", css_class}});
  if (!title.empty()) out_.leaf("title", title);
}

void Drawing::grid_y(const Scale& y, double x1, double x2, int wanted, bool percent) {
  for (const double tick : y.ticks(wanted)) {
    line(x1, y(tick), x2, y(tick), "grid");
    label(x1 - 6, y(tick) + 4, percent ? tick_text(100 * tick) + " %" : tick_text(tick), "tick",
          Anchor::kEnd);
  }
}

void Drawing::ticks_x(const Scale& x, double baseline, int wanted, bool percent) {
  for (const double tick : x.ticks(wanted)) {
    line(x(tick), baseline, x(tick), baseline + 4, "axis");
    label(x(tick), baseline + 17, tick_text(percent ? 100 * tick : tick), "tick", Anchor::kMiddle);
  }
}

std::string Drawing::take() {
  out_.own("</svg>\n");
  return out_.str();
}

std::string coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

std::string mark_path(Mark mark, double x, double y, double r) {
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string path;
    for (const auto& [dx, dy] : corners)
      path += (path.empty() ? "M" : "L") + coordinate(x + dx * r) + " " + coordinate(y + dy * r);
    return path + "Z";
  };
  switch (mark) {
    case Mark::kCircle:
      return fmt::format("M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z", coordinate(x - r), coordinate(y),
                         fmt::arg("r", coordinate(r)), fmt::arg("d", coordinate(2 * r)));
    case Mark::kSquare:
      return polygon({{-.9, -.9}, {.9, -.9}, {.9, .9}, {-.9, .9}});
    case Mark::kTriangle:
      return polygon({{0, -1.15}, {1.1, .85}, {-1.1, .85}});
    case Mark::kDiamond:
      return polygon({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
    case Mark::kTriangleDown:
      return polygon({{0, 1.15}, {1.1, -.85}, {-1.1, -.85}});
    case Mark::kPlus:
      return polygon({{-.4, -1.1},
                      {.4, -1.1},
                      {.4, -.4},
                      {1.1, -.4},
                      {1.1, .4},
                      {.4, .4},
                      {.4, 1.1},
                      {-.4, 1.1},
                      {-.4, .4},
                      {-1.1, .4},
                      {-1.1, -.4},
                      {-.4, -.4}});
    case Mark::kHexagon:
      return polygon({{-.55, -1}, {.55, -1}, {1.1, 0}, {.55, 1}, {-.55, 1}, {-1.1, 0}});
    case Mark::kBowTie:
      return polygon({{-1.1, -1}, {0, -.3}, {1.1, -1}, {1.1, 1}, {0, .3}, {-1.1, 1}});
  }
  return "";
}

double text_width(std::string_view text, double size) noexcept {
  constexpr double kAverage = 0.6;  // of the font's size, of a letter in common sans serif fonts
  return kAverage * size * static_cast<double>(display_width(std::string(text)));
}

std::string fit_text(std::string_view text, double width, double size) {
  std::string fitted = text::replace_invalid_utf8(text);
  if (text_width(fitted, size) <= width) return fitted;
  const auto most = static_cast<size_t>(std::max(0.0, 4 * width));  // bytes of what could fit at all
  if (fitted.size() > most)
    fitted.resize(text::complete_utf8_prefix(std::string_view(fitted).substr(0, most)));
  while (!fitted.empty() && text_width(fitted + "…", size) > width) {
    fitted.pop_back();
    fitted.resize(text::complete_utf8_prefix(fitted));
  }
  return fitted + "…";
}

void spread_apart(std::vector<double>& positions, double gap, double low, double high) {
  std::vector<size_t> order(positions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return positions[a] < positions[b]; });
  double least = low;
  for (const size_t i : order) {
    positions[i] = std::max(positions[i], least);
    least = positions[i] + gap;
  }
  double most = high;
  for (auto i = order.rbegin(); i != order.rend() && positions[*i] > most; ++i) {
    positions[*i] = most;
    most -= gap;
  }
}

}  // namespace assay
