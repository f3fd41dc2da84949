#pragma once
#include <utility>

#include "kernels/isa.hpp"

// matmul_exact for many tokens: a panel of rows, decoded once to f32, times a few tokens at a time. A
// result's 16 lanes stand in registers side by side, so the specification's sums cost no more loads than any
// other tile: kFloatTileRows rows and kTokens tokens make as many accumulators as there are registers, and
// per 16 columns one load of each row and each token. Isa is a struct of an instruction set, local to its
// file (so that everything here is local too), with
//   kTokens     tokens of a tile
//   kColumns    columns multiplied before the next rows take their turn: those of the tokens stay in the
//               first-level cache
//   multiply<tokens>(FloatTile)

namespace assay {

/// Some columns of kFloatTileRows rows by a few tokens.
struct FloatTile {
  const float* w;  ///< [n / 16, kFloatTileRows, 16]
  const float* x;  ///< [tokens, n], x_stride apart
  int64_t x_stride;
  int64_t n;
  float* lanes;      ///< [tokens, kFloatTileRows, 16], the sums so far
  bool first, last;  ///< whether they are zero; whether they are to be reduced to `out`
  float* out;
  int64_t out_stride, rows;  ///< rows that are there
};

template <class Isa>
struct FloatPanel {
  using Multiply = void (*)(const FloatTile&) noexcept;
  template <int... kCounts>
  static Multiply multiply_of(int64_t tokens, std::integer_sequence<int, kCounts...>) noexcept {
    static constexpr Multiply kAll[] = {Isa::template multiply<kCounts + 1>...};
    return kAll[tokens - 1];
  }

  /// Some tokens' columns [begin, begin + n).
  struct Piece {
    const float* x;
    int64_t tokens, begin, n;
  };

  /// Asks for a share of the piece, 1 of `shares`, to be in the second-level cache soon.
  static void prefetch(const Piece& piece, int64_t cols, int64_t share, int64_t shares) noexcept {
    const int64_t steps = piece.n / 16;
    for (int64_t e = steps * share / shares; e < steps * (share + 1) / shares; ++e)
      for (int64_t t = 0; t < piece.tokens; ++t)
        __builtin_prefetch(piece.x + t * cols + piece.begin + 16 * e, 0, 2);
  }

  /// A piece by the whole panel; asks for the next one on the way.
  static void multiply_piece(const FloatPanelJob& job, const Piece& piece, const Piece& next,
                             float* out) noexcept {
    const Multiply multiply = multiply_of(piece.tokens, std::make_integer_sequence<int, Isa::kTokens>());
    const int64_t tiles = (job.rows + kFloatTileRows - 1) / kFloatTileRows;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      prefetch(next, job.cols, tile, tiles);
      const int64_t row = tile * kFloatTileRows;
      multiply({.w = job.panel + row * job.cols + piece.begin * kFloatTileRows,
                .x = piece.x + piece.begin,
                .x_stride = job.cols,
                .n = piece.n,
                .lanes = job.lanes + row * Isa::kTokens * 16,
                .first = piece.begin == 0,
                .last = piece.begin + piece.n == job.cols,
                .out = out + row,
                .out_stride = job.out_stride,
                .rows = job.rows - row < kFloatTileRows ? job.rows - row : kFloatTileRows});
    }
  }

  static void multiply(const FloatPanelJob& job) noexcept {
    const int64_t sets = (job.tokens + Isa::kTokens - 1) / Isa::kTokens;
    const int64_t blocks = (job.cols + Isa::kColumns - 1) / Isa::kColumns;
    const auto piece_of = [&](int64_t set, int64_t block) {
      const int64_t token = job.tokens * set / sets, begin = block * Isa::kColumns;
      const int64_t n = job.cols - begin < Isa::kColumns ? job.cols - begin : Isa::kColumns;
      return Piece{job.x + token * job.cols, job.tokens * (set + 1) / sets - token, begin, n};
    };
    for (int64_t set = 0; set < sets; ++set)
      for (int64_t block = 0; block < blocks; ++block) {
        const Piece next = block + 1 < blocks ? piece_of(set, block + 1)
                           : set + 1 < sets   ? piece_of(set + 1, 0)
                                              : Piece{nullptr, 0, 0, 0};
        multiply_piece(job, piece_of(set, block), next, job.out + job.tokens * set / sets * job.out_stride);
      }
  }
};

}  // namespace assay
