#pragma once
#include <cstdint>
#include <span>

#include "models/sentence_modules.hpp"

namespace assay {

/// One vector from the hidden states of a text: the poolings of `modes` one after another, in the order of
/// PoolingModes. rows: [tokens, dim]; the first `skip` tokens (a prompt that does not count) are left out of
/// all but cls, while weighted_mean keeps the weights of their positions. Sums grow in double, in the order
/// of the tokens. Where no token is left the result is zero. out: [modes.count() * dim]. Source:
/// sentence_transformers models/Pooling.py.
void pool_rows(const PoolingModes& modes, std::span<const float> rows, int64_t dim, int64_t skip,
               std::span<float> out);

/// Divides by the Euclidean norm, summed in double; a vector of zeros stays zero.
/// Source: sentence_transformers models/Normalize.py (torch normalize: norms below 1e-12 count as 1e-12).
void normalize_length(std::span<float> vector) noexcept;

/// True when the poolings read the first row alone, so that the encoder need not compute the others.
bool reads_first_row_only(const PoolingModes& modes) noexcept;

}  // namespace assay
