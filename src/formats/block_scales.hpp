#pragma once
#include <cstdint>

#include "formats/search.hpp"

/// What a super-block does with the fits of its blocks: their scales (or mins) become small integers times
/// one number, and the codes are chosen again on the grid that came of it.
/// Source: make_qp_quants and quantize_row_q4_K_ref in ggml src/ggml-quants.c.
namespace assay {

/// Codes 0 … max_code of `n` non-negative numbers, one a block of the super-block, and their common scale
/// (returned) by weighted least squares: a few trial scales, then single codes are moved while that helps.
float solve_block_scales(const float* x, const float* weights, int n, float max_code,
                         uint8_t* codes) noexcept;

/// The same without weights: the largest number gets max_code, the others round.
float round_block_scales(const float* x, int n, float max_code, uint8_t* codes) noexcept;

/// The scale of largest magnitude, the first one where several share it; NaN where one is NaN.
float extreme_scale(const float* scales, int n) noexcept;

/// Codes of one block of `n` values on its stored grid step * code - offset; where the stored step is 0,
/// those of the search.
void choose_line_codes(const float* x, int n, float step, float offset, const LineFit& fit, int max_code,
                       uint8_t* codes) noexcept;

}  // namespace assay
