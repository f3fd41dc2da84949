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
};

/// Decodes every row of `packed` and compares it with `source` under the format's error bound, rows in
/// parallel. Throws Error when the format cannot be decoded.
WeightCheck check_weight(const WeightView& packed, const SourceWeight& source, ThreadPool& pool);

}  // namespace assay
