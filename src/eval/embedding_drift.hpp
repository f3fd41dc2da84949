#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "eval/statistics.hpp"

namespace assay {

/// n vectors of `dim` floats, one after the other.
struct VectorSet {
  std::span<const float> values;
  int64_t dim = 0;

  int64_t count() const noexcept { return dim == 0 ? 0 : static_cast<int64_t>(values.size()) / dim; }
  std::span<const float> row(int64_t i) const noexcept {
    return values.subspan(static_cast<size_t>(i * dim), static_cast<size_t>(dim));
  }
};

/// How far a candidate's vectors lie from a reference's of the same texts. All sums in f64.
struct EmbeddingDrift {
  int64_t n = 0, dim = 0;
  Estimate cosine;  ///< mean over texts; 95 % bootstrap over texts
  double cosine_std = 0, cosine_p5 = 0, cosine_p1 = 0, cosine_min = 0;
  int64_t worst = 0;          ///< index of the text with the lowest cosine
  double relative_l2 = 0;     ///< √(Σ d² / Σ x²)
  double relative_l1 = 0;     ///< Σ |d| / Σ |x|
  double mse = 0;             ///< per element, vectors as they are
  double mse_normalized = 0;  ///< per element, vectors scaled to length 1: 2 (1 - cosine) / dim
  double mean_absolute = 0, max_absolute = 0;
  double norm_ratio = 0;                                       ///< mean of |candidate| / |reference|
  int64_t reference_not_finite = 0, candidate_not_finite = 0;  ///< vectors with a NaN or an infinity
  /// Mean cosine of different texts in the reference: what a cosine of 0.95 is worth in this model.
  double unrelated_cosine = 0;
  double pair_spearman = 0;      ///< of the similarities of text pairs, reference against candidate
  int64_t pairs = 0;             ///< pairs it rests on: all, or a seeded sample of kMostPairs
  int64_t neighbours = 0;        ///< k of the overlap: 10, or n - 1 where that is less
  double top1_same = 0;          ///< share of texts whose nearest other text is the same
  double neighbour_overlap = 0;  ///< mean share of the reference's k nearest among the candidate's
};
inline constexpr int64_t kMostPairs = 1000000;

/// Sizes must agree and n be at least 1. Cosine of a zero vector with anything is 0, of two zero vectors 1.
/// Not finite vectors count as cosine 0 and are left out of the other figures.
EmbeddingDrift measure_drift(const VectorSet& reference, const VectorSet& candidate, uint64_t seed = 0);

/// The old project's bands by mean cosine: above 0.99 "EXCELLENT", 0.95 "GOOD", 0.90 "ACCEPTABLE", else
/// "POOR".
std::string_view drift_band(double mean_cosine) noexcept;

double cosine(std::span<const float> a, std::span<const float> b) noexcept;

/// Correlation of a model's similarities with people's scores, for two models on the same pairs.
struct SimilarityScores {
  Estimate reference_spearman, candidate_spearman, spearman_difference;
  Estimate reference_pearson, candidate_pearson, pearson_difference;  ///< differences: candidate - reference
};
/// Cosines of n pairs by both models against n scores; 95 % paired bootstrap over pairs.
SimilarityScores compare_similarities(std::span<const double> reference, std::span<const double> candidate,
                                      std::span<const double> scores, uint64_t seed = 0);

}  // namespace assay
