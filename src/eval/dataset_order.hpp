#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "eval/guard_labels.hpp"

namespace assay {

/// The order in which a data set's rows are taken.
enum class RowOrder : uint8_t {
  kFile,
  kShuffled,  ///< by assay's own generator
  kCpython,   ///< as Python's random.seed(seed); random.shuffle(rows)
};

/// The permutation: element i is the index of the row that comes i-th.
std::vector<size_t> row_order(size_t rows, RowOrder order, uint64_t seed);

/// Cuts an order: at most `limit` rows (0: all); with `per_class` > 0 the first so many of each class, other
/// rows left out. labels: by row; rows without a label belong to no class.
std::vector<size_t> cut_order(std::span<const size_t> order, std::span<const GuardLabel> labels, size_t limit,
                              size_t per_class);

}  // namespace assay
