#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "report/charts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"

namespace assay {
namespace {

constexpr int kShades = 7;
constexpr int kMostLayers = 1000;

/// The tensors of one role: by layer, and those that belong to none.
struct Strip {
  std::string role;
  std::map<int, const TensorFact*> layers;
  const TensorFact* alone = nullptr;
};

/// Of several tensors in one cell (experts) the one that lies furthest away is shown.
void keep_worse(const TensorFact*& cell, const TensorFact& tensor) {
  if (cell == nullptr || cell->relative_error.value_or(-1) < tensor.relative_error.value_or(-1))
    cell = &tensor;
}

std::vector<Strip> strips_of(const Subject& subject) {
  std::vector<Strip> strips;
  for (const TensorFact& tensor : subject.tensors) {
    if (!tensor.relative_error || !std::isfinite(*tensor.relative_error)) continue;
    auto strip =
        std::find_if(strips.begin(), strips.end(), [&](const Strip& s) { return s.role == tensor.role; });
    if (strip == strips.end())
      strip = strips.insert(strips.end(), Strip{.role = tensor.role, .layers = {}, .alone = nullptr});
    if (const auto layer = layer_of(tensor.name)) {
      keep_worse(strip->layers[*layer], tensor);
    } else {
      keep_worse(strip->alone, tensor);
    }
  }
  return strips;
}

/// 0 for an exact tensor, else 1 to kShades by the logarithm of the error.
int shade_of(double error, const ErrorRange& range) {
  if (!(error > 0.0)) return 0;
  const double share =
      range.high > range.low ? std::log(error / range.low) / std::log(range.high / range.low) : 1.0;
  return 1 + std::clamp(static_cast<int>(share * kShades), 0, kShades - 1);
}

void draw_cell(Drawing& drawing, double x, double y, double width, double height, const TensorFact& tensor,
               const ErrorRange& range) {
  const double error = *tensor.relative_error;
  drawing.rect(x, y, width, height, fmt::format("heat h{}", shade_of(error, range)),
               tensor.name + "\n" + tensor.format + ", " + fmt::format("{:.3f}", tensor.bits_per_weight) +
                   " bits per weight\nrelative error " + format_number(error, {}, {}, "").line());
}

/// The shades from "exact" to the largest error, with the numbers at both ends.
void draw_key(Drawing& drawing, const ErrorRange& range, double x, double y) {
  drawing.rect(x, y, 14, 12, "heat h0");
  drawing.label(x + 20, y + 10, "exact", "tick");
  const double start = x + 62;
  const std::string low = format_number(range.low, {}, {}, "").line();
  drawing.label(start, y + 10, low, "tick");
  const double shades = start + text_width(low, 11) + 8;
  for (int shade = 1; shade <= kShades; ++shade)
    drawing.rect(shades + 15 * (shade - 1), y, 14, 12, fmt::format("heat h{}", shade));
  drawing.label(shades + 15 * kShades + 6, y + 10, format_number(range.high, {}, {}, "").line(), "tick");
}

std::string describe(const Subject& subject, const std::vector<Strip>& strips) {
  std::string text = "Relative error of every tensor of " + subject.label + ", by role and layer. ";
  for (const Strip& strip : strips) {
    const TensorFact* worst = strip.alone;
    for (const auto& [layer, tensor] : strip.layers) keep_worse(worst, *tensor);
    if (worst != nullptr)
      text += strip.role + ": at most " + format_number(*worst->relative_error, {}, {}, "").line() + " (" +
              worst->name + "). ";
  }
  return text;
}

}  // namespace

std::optional<int> layer_of(const std::string& tensor) {
  for (size_t begin = 0; begin < tensor.size();) {
    const size_t end = std::min(tensor.find('.', begin), tensor.size());
    int layer = 0;
    const auto [stop, fault] = std::from_chars(tensor.data() + begin, tensor.data() + end, layer);
    if (fault == std::errc() && stop == tensor.data() + end && layer >= 0 && layer < kMostLayers)
      return layer;
    begin = end + 1;
  }
  return std::nullopt;
}

std::optional<ErrorRange> tensor_error_range(const Report& report) {
  ErrorRange range{.low = INFINITY, .high = 0.0};
  for (const Subject& subject : report.subjects) {
    for (const TensorFact& tensor : subject.tensors) {
      const double error = tensor.relative_error.value_or(0.0);
      if (!(error > 0.0) || !std::isfinite(error)) continue;
      range.low = std::min(range.low, error), range.high = std::max(range.high, error);
    }
  }
  return range.high > 0.0 ? std::optional(range) : std::nullopt;
}

std::string draw_tensor_map(const Report&, const Subject& subject, const ErrorRange& range, double width,
                            const std::string& id, const std::string& css_class) {
  const std::vector<Strip> strips = strips_of(subject);
  int last = -1;
  bool any_alone = false;
  for (const Strip& strip : strips) {
    if (!strip.layers.empty()) last = std::max(last, strip.layers.rbegin()->first);
    any_alone = any_alone || strip.alone != nullptr;
  }
  const bool narrow = width < 500;
  const double left = narrow ? 92 : 150, row = narrow ? 18 : 20, top = 40;
  const double alone_width = any_alone ? (narrow ? 26 : 40) : 0;
  const double cell = last < 0 ? 0 : std::min(26.0, (width - left - alone_width - 10) / (last + 1));
  const double bottom = top + row * static_cast<double>(strips.size());
  Drawing drawing(id, width, bottom + 26, "Tensor errors of " + subject.label, describe(subject, strips),
                  css_class);
  draw_key(drawing, range, 0, 2);
  for (size_t i = 0; i < strips.size(); ++i) {
    const double y = top + row * static_cast<double>(i);
    drawing.label(left - 8, y + row / 2 + 3, fit_text(strips[i].role, left - 10, 11), "tick", Anchor::kEnd);
    for (const auto& [layer, tensor] : strips[i].layers)
      draw_cell(drawing, left + cell * layer, y + 1, cell - (cell > 6 ? 1 : 0), row - 2, *tensor, range);
    if (strips[i].alone != nullptr)
      draw_cell(drawing, last < 0 ? left : left + cell * (last + 1) + 8, y + 1, alone_width - 8, row - 2,
                *strips[i].alone, range);
  }
  const int stride = std::max(1, (last + 1 + 11) / 12);
  for (int layer = 0; layer <= last; layer += stride)
    drawing.label(left + cell * (layer + 0.5), bottom + 14, std::to_string(layer), "tick", Anchor::kMiddle);
  if (last >= 0) drawing.label(left - 8, bottom + 14, "layer", "tick", Anchor::kEnd);
  return drawing.take();
}

}  // namespace assay
