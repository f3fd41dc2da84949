#include "eval/embedding_drift.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "eval/correlation.hpp"

namespace assay {
namespace {

constexpr int kResamples = 1000;
constexpr int64_t kNeighbours = 10;

bool is_finite(std::span<const float> row) {
  return std::all_of(row.begin(), row.end(), [](float value) { return std::isfinite(value); });
}

double norm(std::span<const float> row) {
  double sum = 0.0;
  for (const float value : row) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

/// The finite vectors scaled to length 1, so that a cosine is one product; eight partial sums, in a fixed
/// order, let the compiler use whole registers.
class UnitRows {
 public:
  UnitRows(const VectorSet& set, std::span<const int64_t> finite) : dim_(static_cast<size_t>(set.dim)) {
    for (const int64_t i : finite) {
      const double length = norm(set.row(i));
      for (const float value : set.row(i)) values_.push_back(length > 0 ? value / length : 0.0);
    }
  }

  double cosine(size_t i, size_t j) const noexcept {
    const double *a = values_.data() + i * dim_, *b = values_.data() + j * dim_;
    double lanes[8] = {};
    size_t k = 0;
    for (; k + 8 <= dim_; k += 8)
      for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += a[k + lane] * b[k + lane];
    for (; k < dim_; ++k) lanes[k % 8] += a[k] * b[k];
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
  }
  size_t count() const noexcept { return values_.size() / dim_; }

 private:
  size_t dim_;
  std::vector<double> values_;
};

/// Figures over the elements of the finite vectors.
void measure_elements(const VectorSet& reference, const VectorSet& candidate, std::span<const int64_t> finite,
                      EmbeddingDrift& drift) {
  double squares = 0, reference_squares = 0, absolutes = 0, reference_absolutes = 0, unit = 0, ratio = 0;
  for (const int64_t i : finite) {
    const auto x = reference.row(i), y = candidate.row(i);
    const double length_x = norm(x), length_y = norm(y);
    for (size_t k = 0; k < x.size(); ++k) {
      const double d = static_cast<double>(y[k]) - x[k];
      squares += d * d;
      reference_squares += static_cast<double>(x[k]) * x[k];
      absolutes += std::abs(d);
      reference_absolutes += std::abs(static_cast<double>(x[k]));
      drift.max_absolute = std::max(drift.max_absolute, std::abs(d));
      const double unit_x = length_x > 0 ? x[k] / length_x : 0.0;
      const double unit_y = length_y > 0 ? y[k] / length_y : 0.0;
      unit += (unit_y - unit_x) * (unit_y - unit_x);
    }
    ratio += length_x > 0 ? length_y / length_x : 1.0;
  }
  if (finite.empty()) return;
  const auto elements = static_cast<double>(finite.size()) * static_cast<double>(drift.dim);
  drift.mse = squares / elements;
  drift.mse_normalized = unit / elements;
  drift.mean_absolute = absolutes / elements;
  drift.relative_l2 = reference_squares > 0 ? std::sqrt(squares / reference_squares) : 0.0;
  drift.relative_l1 = reference_absolutes > 0 ? absolutes / reference_absolutes : 0.0;
  drift.norm_ratio = ratio / static_cast<double>(finite.size());
}

void measure_cosines(std::vector<double> cosines, EmbeddingDrift& drift, uint64_t seed) {
  std::vector<Cluster> clusters;
  double squares = 0.0;
  for (const double value : cosines) clusters.push_back({value, 1.0});
  drift.cosine = cluster_mean(clusters, seed, kResamples);
  for (const double value : cosines) squares += (value - drift.cosine.value) * (value - drift.cosine.value);
  drift.cosine_std = std::sqrt(squares / static_cast<double>(cosines.size()));
  drift.worst = std::min_element(cosines.begin(), cosines.end()) - cosines.begin();
  std::sort(cosines.begin(), cosines.end());
  drift.cosine_min = cosines.front();
  drift.cosine_p1 = quantile(cosines, 0.01);
  drift.cosine_p5 = quantile(cosines, 0.05);
}

/// Every pair i < j below n, or a seeded sample with replacement where they are too many.
template <class Visit>
void visit_pairs(size_t n, uint64_t seed, const Visit& visit) {
  if (n * (n - 1) / 2 <= static_cast<size_t>(kMostPairs)) {
    for (size_t i = 0; i < n; ++i)
      for (size_t j = i + 1; j < n; ++j) visit(i, j);
    return;
  }
  Rng rng(seed);
  for (int64_t k = 0; k < kMostPairs; ++k) {
    const size_t i = rng.below(n), j = rng.below(n - 1);
    visit(i, j >= i ? j + 1 : j);
  }
}

void measure_pairs(const UnitRows& reference, const UnitRows& candidate, uint64_t seed,
                   EmbeddingDrift& drift) {
  if (reference.count() < 2) return;
  std::vector<double> before, after;
  visit_pairs(reference.count(), seed, [&](size_t i, size_t j) {
    before.push_back(reference.cosine(i, j));
    after.push_back(candidate.cosine(i, j));
  });
  drift.pairs = static_cast<int64_t>(before.size());
  drift.unrelated_cosine =
      std::accumulate(before.begin(), before.end(), 0.0) / static_cast<double>(before.size());
  drift.pair_spearman = spearman(before, after);
}

/// The k nearest other vectors of `from`, nearest first; the lower index first among equals.
std::vector<size_t> nearest(const UnitRows& rows, size_t from, int64_t k) {
  std::vector<std::pair<double, size_t>> all;
  for (size_t i = 0; i < rows.count(); ++i)
    if (i != from) all.emplace_back(-rows.cosine(from, i), i);
  std::partial_sort(all.begin(), all.begin() + k, all.end());
  std::vector<size_t> indices;
  for (int64_t i = 0; i < k; ++i) indices.push_back(all[static_cast<size_t>(i)].second);
  return indices;
}

void measure_neighbours(const UnitRows& reference, const UnitRows& candidate, EmbeddingDrift& drift) {
  const auto n = static_cast<int64_t>(reference.count());
  drift.neighbours = std::min<int64_t>(kNeighbours, n - 1);
  if (drift.neighbours < 1) return;
  double same = 0.0, shared = 0.0;
  for (size_t i = 0; i < reference.count(); ++i) {
    std::vector<size_t> before = nearest(reference, i, drift.neighbours);
    std::vector<size_t> after = nearest(candidate, i, drift.neighbours);
    same += before.front() == after.front();
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    std::vector<size_t> both;
    std::set_intersection(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(both));
    shared += static_cast<double>(both.size()) / static_cast<double>(drift.neighbours);
  }
  drift.top1_same = same / static_cast<double>(n);
  drift.neighbour_overlap = shared / static_cast<double>(n);
}

using Correlation = double (*)(std::span<const double>, std::span<const double>);

double correlate(Correlation correlation, std::span<const double> values, std::span<const double> scores,
                 std::span<const int64_t> draw) {
  std::vector<double> drawn, drawn_scores;
  for (const int64_t i : draw) {
    drawn.push_back(values[static_cast<size_t>(i)]);
    drawn_scores.push_back(scores[static_cast<size_t>(i)]);
  }
  return correlation(drawn, drawn_scores);
}

}  // namespace

double cosine(std::span<const float> a, std::span<const float> b) noexcept {
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  if (aa == 0.0 || bb == 0.0) return aa == bb ? 1.0 : 0.0;
  return ab / std::sqrt(aa * bb);
}

EmbeddingDrift measure_drift(const VectorSet& reference, const VectorSet& candidate, uint64_t seed) {
  ASSAY_CHECK(reference.dim == candidate.dim && reference.values.size() == candidate.values.size());
  ASSAY_CHECK(reference.count() >= 1);
  EmbeddingDrift drift;
  drift.n = reference.count();
  drift.dim = reference.dim;
  std::vector<int64_t> finite;
  std::vector<double> cosines;
  for (int64_t i = 0; i < drift.n; ++i) {
    const bool before = is_finite(reference.row(i)), after = is_finite(candidate.row(i));
    drift.reference_not_finite += !before;
    drift.candidate_not_finite += !after;
    cosines.push_back(before && after ? cosine(reference.row(i), candidate.row(i)) : 0.0);
    if (before && after) finite.push_back(i);
  }
  measure_cosines(std::move(cosines), drift, seed);
  measure_elements(reference, candidate, finite, drift);
  const UnitRows before(reference, finite), after(candidate, finite);
  measure_pairs(before, after, seed, drift);
  measure_neighbours(before, after, drift);
  return drift;
}

std::string_view drift_band(double mean_cosine) noexcept {
  if (mean_cosine > 0.99) return "EXCELLENT";
  if (mean_cosine > 0.95) return "GOOD";
  return mean_cosine > 0.90 ? "ACCEPTABLE" : "POOR";
}

SimilarityScores compare_similarities(std::span<const double> reference, std::span<const double> candidate,
                                      std::span<const double> scores, uint64_t seed) {
  ASSAY_CHECK(reference.size() == scores.size() && candidate.size() == scores.size());
  const auto n = static_cast<int64_t>(scores.size());
  const auto of = [&](Correlation correlation, std::span<const double> values) {
    return bootstrap(n, seed, kResamples, [&](std::span<const int64_t> draw) {
      return correlate(correlation, values, scores, draw);
    });
  };
  const auto difference = [&](Correlation correlation) {
    return bootstrap(n, seed, kResamples, [&](std::span<const int64_t> draw) {
      return correlate(correlation, candidate, scores, draw) -
             correlate(correlation, reference, scores, draw);
    });
  };
  return {of(spearman, reference), of(spearman, candidate), difference(spearman),
          of(pearson, reference),  of(pearson, candidate),  difference(pearson)};
}

}  // namespace assay
