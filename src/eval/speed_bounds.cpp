#include "eval/speed_bounds.hpp"

#include <fmt/format.h>

namespace assay {
namespace {

bool is_bandwidth_bound(const SpeedFigures& figures) {
  return figures.bandwidth_share >= kBoundShare && figures.bandwidth_share <= kMostShare &&
         figures.bytes_per_token >= kCachedBytes;
}

const SpeedFigures* find_largest_bound(std::span<const SpeedFigures> figures) {
  const SpeedFigures* largest = nullptr;
  for (const SpeedFigures& each : figures) {
    if (!is_bandwidth_bound(each)) continue;
    if (largest == nullptr || each.bytes_per_token > largest->bytes_per_token) largest = &each;
  }
  return largest;
}

std::string explain_one(const SpeedFigures& figures) {
  return fmt::format(
      "decode of {} is bandwidth-bound: {:.3f} GB a token, {:.0f} % of what this machine reads", figures.name,
      figures.bytes_per_token / 1e9, 100.0 * figures.bandwidth_share);
}

std::string explain_pair(const SpeedFigures& figures, const SpeedFigures& largest) {
  return fmt::format(
      "decode is bandwidth-bound: {} reads {:.2f} of {}'s bytes, expected {:.2f}x, measured {:.2f}x",
      figures.name, figures.bytes_per_token / largest.bytes_per_token, largest.name,
      largest.bytes_per_token / figures.bytes_per_token, figures.decode_rate / largest.decode_rate);
}

}  // namespace

std::vector<std::string> explain_bounds(std::span<const SpeedFigures> figures) {
  std::vector<std::string> sentences;
  const SpeedFigures* largest = find_largest_bound(figures);
  for (const SpeedFigures& each : figures) {
    if (is_bandwidth_bound(each))
      sentences.push_back(&each == largest ? explain_one(each) : explain_pair(each, *largest));
    if (each.int8_share >= kBoundShare)
      sentences.push_back(
          fmt::format("prefill of {} is compute-bound: {:.0f} % of this machine's int8 multiply-adds",
                      each.name, 100.0 * each.int8_share));
  }
  return sentences;
}

}  // namespace assay
