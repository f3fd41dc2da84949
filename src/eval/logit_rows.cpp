#include "eval/logit_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.hpp"

namespace assay {
namespace {

/// A row is summed in parts of so many logits, which threads share out; a part, in kLanes interleaved sums.
constexpr int64_t kPart = 8192;
constexpr int64_t kLanes = 8;
/// What is below the five best so far is passed over in pieces of so many logits.
constexpr int64_t kPiece = 256;

/// kLanes values side by side: the compiler makes registers of them, as wide as it may. Passed by reference
/// alone, since how such values travel between functions depends on the instruction set.
using Doubles = double __attribute__((vector_size(kLanes * sizeof(double))));
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Bits = uint64_t __attribute__((vector_size(kLanes * sizeof(uint64_t))));
using Mask = int64_t __attribute__((vector_size(kLanes * sizeof(int64_t))));

/// logits[0, kLanes) less `highest`.
inline void load_less(const float* logits, double highest, Doubles& out) noexcept {
  Floats values;
  std::memcpy(&values, logits, sizeof values);
  out = __builtin_convertvector(values, Doubles) - highest;
}

/// Replaces every x <= 0 by e^x. Relative error below 5e-16 (measured against libm). Below -700 it gives
/// e^-700 = 1e-304, which no f64 sum with a term of 1 in it can hold.
inline void exp_of_negative(Doubles& x) noexcept {
  constexpr double kShift = 0x1.8p52;  // added to a small number leaves its nearest integer in the low bits
  constexpr double kLog2e = 0x1.71547652b82fep0, kLn2High = 0x1.62e42fefa0000p-1,  // zeros at its end:
      kLn2Low = 0x1.cf79abc9e3b3ap-40;                                             // k * kLn2High is exact
  const Doubles lowest = Doubles{} - 700.0;
  const Mask below = x < lowest;
  x = reinterpret_cast<Doubles>((reinterpret_cast<Mask>(lowest) & below) |
                                (reinterpret_cast<Mask>(x) & ~below));
  const Doubles shifted = x * kLog2e + kShift, k = shifted - kShift;
  const Doubles r = (x - k * kLn2High) - k * kLn2Low;  // |r| <= ln 2 / 2
  // Taylor's series to r^12: the rest is below 1.8e-16.
  constexpr double kTerms[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                               1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                               1.0 / 6,        0.5,           1.0,          1.0};
  Doubles sum = Doubles{} + 1.0 / 479001600;
  for (const double term : kTerms) sum = sum * r + term;
  x = reinterpret_cast<Doubles>(reinterpret_cast<Bits>(sum) + (reinterpret_cast<Bits>(shifted) << 52));
}

double sum_of(const Doubles& lanes) noexcept {
  double sum = 0.0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

/// Largest of a piece, and whether NaN or an infinity is in it.
struct Piece {
  float highest = -std::numeric_limits<float>::infinity();
  bool finite = true;
};

Piece scan_piece(const float* logits, int64_t count) noexcept {
  Piece piece;
  float highest[kLanes], zeros[kLanes] = {};
  std::fill_n(highest, kLanes, piece.highest);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float x = logits[i + lane];
      highest[lane] = x > highest[lane] ? x : highest[lane];
      zeros[lane] += x * 0.0f;  // NaN from NaN and infinities on
    }
  for (; i < count; ++i) {
    highest[0] = std::max(highest[0], logits[i]);
    zeros[0] += logits[i] * 0.0f;
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    piece.highest = std::max(piece.highest, highest[lane]);
    piece.finite &= zeros[lane] == 0.0f;
  }
  return piece;
}

/// Keeps the five best of ids that come in ascending order.
void offer(LogitPeaks& peaks, std::span<const float> logits, int32_t id) noexcept {
  const auto value = [&](int32_t at) { return logits[static_cast<size_t>(at)]; };
  constexpr int32_t kMost = 5;
  if (peaks.best_count == kMost && !(value(id) > value(peaks.best[kMost - 1]))) return;
  int32_t place = peaks.best_count < kMost ? peaks.best_count++ : kMost - 1;
  for (; place > 0 && value(id) > value(peaks.best[static_cast<size_t>(place - 1)]); --place)
    peaks.best[static_cast<size_t>(place)] = peaks.best[static_cast<size_t>(place - 1)];
  peaks.best[static_cast<size_t>(place)] = id;
}

LogitPeaks peaks_of_part(std::span<const float> logits, int64_t begin, int64_t end) {
  LogitPeaks peaks;
  for (int64_t at = begin; at < end; at += kPiece) {
    const int64_t stop = std::min(end, at + kPiece);
    const Piece piece = scan_piece(logits.data() + at, stop - at);
    peaks.finite &= piece.finite;
    if (peaks.best_count == 5 && !(piece.highest > logits[static_cast<size_t>(peaks.best[4])])) continue;
    for (int64_t i = at; i < stop; ++i) offer(peaks, logits, static_cast<int32_t>(i));
  }
  return peaks;
}

/// Tells apart what a non-finite row is made of.
void require_usable(std::span<const float> logits, float highest) {
  for (const float logit : logits)
    if (std::isnan(logit)) throw Error("the model gives NaN logits");
  if (std::isinf(highest))
    throw Error({"the model gives infinite logits",
                 {},
                 "a finite highest one",
                 highest > 0 ? "+inf" : "-inf alone",
                 {}});
}

/// The last logits of a row that fill no vector, followed by such as add nothing.
struct Rest {
  float logits[kLanes];
  Rest(const float* from, int64_t count) {
    std::fill_n(logits, kLanes, std::numeric_limits<float>::lowest());
    std::copy_n(from, count, logits);
  }
};

double exp_sum_of_part(const float* logits, int64_t count, double highest) noexcept {
  Doubles sums = {};
  const auto add = [&](const float* at) {
    Doubles x;
    load_less(at, highest, x);
    exp_of_negative(x);
    sums += x;
  };
  const int64_t whole = count - count % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) add(logits + i);
  if (whole < count) add(Rest(logits + whole, count - whole).logits);
  return sum_of(sums);
}

/// Sums over a part of two rows; u and v are logits less their row's highest.
struct PairSums {
  double p = 0.0, q = 0.0;  ///< Σ e^u, Σ e^v
  double gap = 0.0;         ///< Σ e^u (u - v)
};

PairSums pair_sums_of_part(const float* p, const float* q, int64_t count, double p_highest,
                           double q_highest) noexcept {
  Doubles p_sums = {}, q_sums = {}, gaps = {};
  const auto add = [&](const float* p_at, const float* q_at) {
    Doubles u, v;
    load_less(p_at, p_highest, u);
    load_less(q_at, q_highest, v);
    const Doubles gap = u - v;
    exp_of_negative(u);
    exp_of_negative(v);
    p_sums += u;
    q_sums += v;
    gaps += u * gap;
  };
  const int64_t whole = count - count % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) add(p + i, q + i);
  if (whole < count) add(Rest(p + whole, count - whole).logits, Rest(q + whole, count - whole).logits);
  return {sum_of(p_sums), sum_of(q_sums), sum_of(gaps)};
}

/// The same where a logit is -inf: its probability is 0, and 0 ln 0 is 0.
PairSums pair_sums_with_infinities(std::span<const float> p, std::span<const float> q, double p_highest,
                                   double q_highest) noexcept {
  PairSums sums;
  for (size_t i = 0; i < p.size(); ++i) {
    const double u = p[i] - p_highest, v = q[i] - q_highest;
    const double weight = std::exp(u);
    sums.p += weight;
    sums.q += std::exp(v);
    if (weight > 0.0) sums.gap += weight * (u - v);
  }
  return sums;
}

int64_t count_parts(size_t row) noexcept {
  return (static_cast<int64_t>(row) + kPart - 1) / kPart;
}

/// One result per part, computed by the pool, in the order of the parts.
template <class Result, class OfPart>
std::vector<Result> each_part(size_t row, ThreadPool& pool, const OfPart& of_part) {
  std::vector<Result> results(static_cast<size_t>(count_parts(row)));
  pool.run(count_parts(row), [&](int64_t part) {
    const int64_t begin = part * kPart, end = std::min(static_cast<int64_t>(row), begin + kPart);
    results[static_cast<size_t>(part)] = of_part(begin, end);
  });
  return results;
}

}  // namespace

LogitPeaks find_peaks(std::span<const float> logits, ThreadPool& pool) {
  ASSAY_CHECK(!logits.empty());
  LogitPeaks all;
  for (const LogitPeaks& part : each_part<LogitPeaks>(logits.size(), pool, [&](int64_t begin, int64_t end) {
         return peaks_of_part(logits, begin, end);
       })) {
    all.finite &= part.finite;
    for (int32_t i = 0; i < part.best_count; ++i) offer(all, logits, part.best[static_cast<size_t>(i)]);
  }
  all.highest = logits[static_cast<size_t>(all.best[0])];
  if (!all.finite) require_usable(logits, all.highest);
  return all;
}

double log_sum_exp(std::span<const float> logits, const LogitPeaks& peaks, ThreadPool& pool) {
  double sum = 0.0;
  for (const double part : each_part<double>(logits.size(), pool, [&](int64_t begin, int64_t end) {
         return exp_sum_of_part(logits.data() + begin, end - begin, peaks.highest);
       }))
    sum += part;
  return std::log(sum);
}

RowDivergence compare_rows(std::span<const float> p, const LogitPeaks& p_peaks, std::span<const float> q,
                           const LogitPeaks& q_peaks, ThreadPool& pool) {
  ASSAY_CHECK(p.size() == q.size());
  PairSums sums;
  if (p_peaks.finite && q_peaks.finite) {
    for (const PairSums& part : each_part<PairSums>(p.size(), pool, [&](int64_t begin, int64_t end) {
           return pair_sums_of_part(p.data() + begin, q.data() + begin, end - begin, p_peaks.highest,
                                    q_peaks.highest);
         })) {
      sums.p += part.p;
      sums.q += part.q;
      sums.gap += part.gap;
    }
  } else {
    sums = pair_sums_with_infinities(p, q, p_peaks.highest, q_peaks.highest);
  }
  const double p_log_sum = std::log(sums.p), q_log_sum = std::log(sums.q);
  // Σ p ln(p/q), the two sums' logarithms taken out of it; never negative but by rounding.
  const double kl = sums.gap / sums.p - (p_log_sum - q_log_sum);
  return {.kl = std::max(0.0, kl), .p_log_sum = p_log_sum, .q_log_sum = q_log_sum};
}

double shared_best(const LogitPeaks& p, const LogitPeaks& q) noexcept {
  const std::span ours(p.best.data(), static_cast<size_t>(p.best_count)),
      theirs(q.best.data(), static_cast<size_t>(q.best_count));
  int32_t shared = 0;
  for (const int32_t id : ours) shared += std::find(theirs.begin(), theirs.end(), id) != theirs.end() ? 1 : 0;
  return static_cast<double>(shared) / p.best_count;
}

}  // namespace assay
