#pragma once
#include "base/thread_pool.hpp"
#include "convert/source_weight.hpp"

namespace assay {

/// What comparing one packed weight with its source found.
struct WeightCheck {
  double worst_ratio = 0.0;     ///< largest |decoded - source| / bound; above 1 is a violation
  uint64_t beyond = 0;          ///< elements beyond their bound
  int64_t first_row = -1;       ///< the first row with one
  int64_t not_finite_row = -1;  ///< the first row whose scales or values are NaN or infinite

  // Of formats with scales that assay can write; all 0 for the others. Rows that are not finite are left out.
  bool has_packing = false;     ///< the three sums were taken
  double stored_squares = 0.0;  ///< sum of squared differences between the stored codes and the source
  double fresh_squares = 0.0;   ///< the same for a packing of the source made here
  double floor_squares = 0.0;   ///< what rounding the scales to their type alone may leave

  /// sqrt(stored / fresh): 1 for assay's own packings; 0 where fresh codes are exact and rounding explains
  /// the stored ones.
  double packing_ratio() const noexcept;
  /// True when packing_ratio() is beyond kWorstPacking and rounding does not explain it.
  bool is_badly_packed() const noexcept;
};

/// How much larger than of a fresh packing the root mean square error of stored codes may be. The error bound
/// takes the stored scale for granted; this does not. The error of nearest codes grows with the step: a scale
/// twice too large doubles it, but only to 1.5 times for 8-bit MLX codes under BF16 scales, whose own packing
/// already errs by more than half a step. A search that weighs columns by importance trades error between
/// columns, which weight_check_test.cpp measures: below 1.2 in every format.
inline constexpr double kWorstPacking = 1.4;

/// Decodes every row of `packed` and compares it with `source` under the format's error bound and with a
/// fresh packing of the same row, rows in parallel. Throws Error when the format cannot be decoded.
/// `one_scale`: int8 rows share the scale of the whole tensor, as in weights.npz, and so does the fresh
/// packing.
WeightCheck check_weight(const WeightView& packed, const SourceWeight& source, ThreadPool& pool,
                         bool one_scale = false);

}  // namespace assay
