#include "engine/pooling.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"

namespace assay {
namespace {

/// Sentence-transformers' floor of the divisors.
constexpr double kSmallestDivisor = 1e-9;

/// The rows that count, and where they stand in the text.
struct Rows {
  std::span<const float> values;  ///< [count, dim]
  size_t dim, count, skipped;

  const float* row(size_t t) const { return values.data() + t * dim; }
};

/// Σ weight(t) row(t) / divisor.
template <class Weight>
void write_mean(const Rows& rows, double divisor, std::span<float> out, const Weight& weight) {
  std::vector<double> sums(rows.dim, 0.0);
  for (size_t t = 0; t < rows.count; ++t)
    for (size_t i = 0; i < rows.dim; ++i) sums[i] += weight(t) * static_cast<double>(rows.row(t)[i]);
  divisor = std::max(divisor, kSmallestDivisor);
  for (size_t i = 0; i < rows.dim; ++i) out[i] = static_cast<float>(sums[i] / divisor);
}

void write_max(const Rows& rows, std::span<float> out) {
  std::fill(out.begin(), out.end(), 0.0f);
  if (rows.count == 0) return;
  std::copy_n(rows.row(0), rows.dim, out.begin());
  for (size_t t = 1; t < rows.count; ++t)
    for (size_t i = 0; i < rows.dim; ++i) out[i] = std::max(out[i], rows.row(t)[i]);
}

void write_last(const Rows& rows, std::span<float> out) {
  std::fill(out.begin(), out.end(), 0.0f);
  if (rows.count > 0) std::copy_n(rows.row(rows.count - 1), rows.dim, out.begin());
}

void write_weighted_mean(const Rows& rows, std::span<float> out) {
  const auto position = [&](size_t t) { return static_cast<double>(rows.skipped + t + 1); };
  double weights = 0.0;
  for (size_t t = 0; t < rows.count; ++t) weights += position(t);
  write_mean(rows, weights, out, position);
}

}  // namespace

void pool_rows(const PoolingModes& modes, std::span<const float> rows, int64_t dim, int64_t skip,
               std::span<float> out) {
  const auto width = static_cast<size_t>(dim);
  const size_t tokens = rows.size() / width;
  ASSAY_CHECK(tokens > 0 && rows.size() == tokens * width);
  ASSAY_CHECK(out.size() == static_cast<size_t>(modes.count()) * width);
  const size_t skipped = std::min(static_cast<size_t>(skip), tokens);
  const Rows counted{rows.subspan(skipped * width), width, tokens - skipped, skipped};
  const auto count = static_cast<double>(counted.count);
  const auto equal = [](size_t) { return 1.0; };
  size_t done = 0;
  const auto next = [&] { return out.subspan(width * done++, width); };
  if (modes.cls) std::copy_n(rows.begin(), width, next().begin());
  if (modes.max) write_max(counted, next());
  if (modes.mean) write_mean(counted, count, next(), equal);
  if (modes.mean_sqrt_len) write_mean(counted, std::sqrt(count), next(), equal);
  if (modes.weighted_mean) write_weighted_mean(counted, next());
  if (modes.last_token) write_last(counted, next());
}

void normalize_length(std::span<float> vector) noexcept {
  double squares = 0.0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& value : vector) value = static_cast<float>(value / length);
}

bool reads_first_row_only(const PoolingModes& modes) noexcept {
  return modes.cls && modes.count() == 1;
}

}  // namespace assay
