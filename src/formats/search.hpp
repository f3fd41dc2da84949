#pragma once
#include <cstdint>

#include "formats/blocks.hpp"

namespace assay {

/// The searches behind the K-quants: per block they try a handful of step sizes, round the values to codes
/// and refit scale (and min) by weighted least squares. Many blocks are searched at once, one block per
/// vector lane, and each lane adds in the order of its values. Results are therefore the same bits on every
/// instruction set, and the same as ggml's one-block-at-a-time loops built without fused multiply-add
/// (llama.cpp builds ggml-base like that on x86-64).
/// Source of the searches: ggml src/ggml-quants.c.

/// value ≈ scale * code + min with code in [0, max_code] and min <= 0.
struct LineSearch {
  float max_code;
  /// Trials t = 0 … last_trial use the step (max - min) / (first + delta * t + max_code).
  float first, delta;
  int last_trial;
  int block_len = 32;     ///< 16 or 32
  bool absolute = false;  ///< trials are compared by sums of w * |error| instead of w * error^2
};

/// The best fit of one block, and how the search came to its codes:
/// code = clamp(round_even(code_scale * (value - code_base)), 0, max_code).
struct LineFit {
  float scale, min;
  float code_scale, code_base;
};

/// value ≈ scale * code with code in [-max_code, max_code - 1]; scale may be negative.
/// The search's own codes are clamp(round_even(code_scale * value)); code_scale is 0 for a block of zeros.
struct ScaleFit {
  float scale, code_scale;
};

/// Most blocks one call may take.
inline constexpr int kMaxSearchBlocks = 16;

struct SearchTable {
  const char* isa;  ///< "scalar" (any processor), "avx2", "avx512"

  /// Fits `n_blocks` <= kMaxSearchBlocks contiguous blocks (make_qkx2_quants, make_qkx3_quants). `weights`
  /// holds one weight per value; null means rms(block) + |value|.
  void (*fit_lines)(const LineSearch& search, const float* x, const float* weights, int n_blocks,
                    LineFit* fits);
  /// Fits contiguous blocks of `block_len` = 16 or 32 values (make_qx_quants with rmse_type 1). Null
  /// `weights` mean value^2.
  void (*fit_scales)(float max_code, const float* x, const float* weights, int block_len, int n_blocks,
                     ScaleFit* fits);
  /// Fits contiguous blocks of 32 values to scale * kIQ4Levels[code]; the codes of the search are the levels
  /// nearest to code_scale * value. Null `weights` mean value^2. Besides the 16 trials of
  /// quantize_row_iq4_nl_impl, which put the largest value near level -127, 15 put it near level 113; one
  /// of these is taken only where it lowers the plain squared error too, so that neither error exceeds
  /// ggml's.
  void (*fit_levels)(const float* x, const float* weights, int n_blocks, ScaleFit* fits);
};

/// The fastest table this processor runs, or the one ASSAY_ISA names. Chosen once.
const SearchTable& search_table();

extern const SearchTable kScalarSearch;
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
extern const SearchTable kAvx2Search;
extern const SearchTable kAvx512Search;
/// Whether this processor can run the table.
bool can_run_avx2() noexcept;
bool can_run_avx512() noexcept;
#endif

}  // namespace assay
