#pragma once
#include "kernels/encoder_float_isa.hpp"

// The float kernels over registers of 16 lanes. Isa is a struct of an instruction set, local to its file (so
// that everything here is local too): the type V of 16 floats, kVectors of which stand side by side in an
// outer product of kTokens tokens, and static functions
//   splat, add, subtract, multiply, multiply_add, maximum (the second operand where the first is NaN),
//   exp_low (exp below kExpHighest), load, store, load_first and store_first (n < 16 lanes; the others
//   padded, left alone), load_between (lanes [first, last), the others padded; reads no others), keep_between
//   (zero elsewhere), reduce (the sum of the lanes in their order), largest, inverse_root, activate,
//   transpose (16 rows of 16 floats to 16 columns).

namespace assay {

/// Calls body(begin, count) for pieces of [0, n) of nearly equal length, at most `most`.
template <class Body>
[[gnu::always_inline]] inline void for_pieces(int64_t n, int64_t most, const Body& body) {
  const int64_t pieces = (n + most - 1) / most;
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t begin = n * i / pieces;
    body(begin, n * (i + 1) / pieces - begin);
  }
}

/// Weights to be had soon: `step` floats on at every step of a product.
struct Later {
  const float* at;
  int64_t step;
};

template <class Isa>
struct FloatTiles {
  using V = typename Isa::V;
  static constexpr int kWidth = 16 * Isa::kVectors;

  /// out[t][c] = Σ_k x[t][k] w[k][c], one chain of fma each, for kCount tokens and kWidth columns. On the way
  /// it asks for the lines that `later` names.
  template <int kCount, bool kPrefetches>
  static void outer(const float* x, int64_t x_stride, const float* w, int64_t n, Later later, float* out,
                    int64_t out_stride) noexcept {
    V acc[kCount][Isa::kVectors];
#pragma GCC unroll 16
    for (int t = 0; t < kCount; ++t)
#pragma GCC unroll 2
      for (int v = 0; v < Isa::kVectors; ++v) acc[t][v] = Isa::splat(0.0f);
    for (int64_t k = 0; k < n; ++k, w += kPanelRows) {
      if constexpr (kPrefetches) {
        __builtin_prefetch(later.at, 0, 2);
        if constexpr (Isa::kVectors == 2) __builtin_prefetch(later.at + 16, 0, 2);
        later.at += later.step;
      }
      V weight[Isa::kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < Isa::kVectors; ++v) weight[v] = Isa::load(w + 16 * v);
#pragma GCC unroll 16
      for (int t = 0; t < kCount; ++t) {
        const V token = Isa::splat(x[t * x_stride + k]);
#pragma GCC unroll 2
        for (int v = 0; v < Isa::kVectors; ++v) acc[t][v] = Isa::multiply_add(token, weight[v], acc[t][v]);
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kCount; ++t)
#pragma GCC unroll 2
      for (int v = 0; v < Isa::kVectors; ++v) Isa::store(out + t * out_stride + 16 * v, acc[t][v]);
  }

  using Outer = void (*)(const float*, int64_t, const float*, int64_t, Later, float*, int64_t) noexcept;
  template <bool kPrefetches>
  static Outer outer_of(int64_t count) noexcept {
    static constexpr Outer kAll[12] = {
        outer<1, kPrefetches>, outer<2, kPrefetches>,  outer<3, kPrefetches>,  outer<4, kPrefetches>,
        outer<5, kPrefetches>, outer<6, kPrefetches>,  outer<7, kPrefetches>,  outer<8, kPrefetches>,
        outer<9, kPrefetches>, outer<10, kPrefetches>, outer<11, kPrefetches>, outer<12, kPrefetches>,
    };
    return kAll[count - 1];
  }

  /// The same for up to kQueryTile tokens and a whole panel, w being [n, kPanelRows].
  template <bool kPrefetches = false>
  static void panel_product(const float* x, int64_t x_stride, int64_t tokens, const float* w, int64_t n,
                            float* out, int64_t out_stride, Later later = {nullptr, 0}) noexcept {
    for_pieces(
        tokens, Isa::kTokens, [&](int64_t begin, int64_t count) __attribute__((always_inline)) {
          const Outer product = outer_of<kPrefetches>(count);
          for (int64_t column = 0; column < kPanelRows; column += kWidth)
            product(x + begin * x_stride, x_stride, w + column, n, {later.at + column, later.step},
                    out + begin * out_stride + column, out_stride);
        });
  }

  [[gnu::always_inline]] static inline V finish16(V value, const Epilogue& epilogue, V bias, V residual) {
    if (epilogue.bias != nullptr) value = Isa::add(value, bias);
    value = Isa::activate(epilogue.activation, value);
    return epilogue.residual != nullptr ? Isa::add(value, residual) : value;
  }

  /// The epilogue of one token and `count` ≤ 32 rows from `row` on; `out` is where they belong.
  static void finish(const float* product, const Epilogue& epilogue, int64_t token, int64_t row,
                     int64_t count, float* out) noexcept {
    const float* bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + row;
    const float* residual =
        epilogue.residual == nullptr ? nullptr : epilogue.residual + token * epilogue.residual_stride + row;
    const V zero = Isa::splat(0.0f);
    for (int64_t i = 0; i < count; i += 16) {
      const V value = Isa::load(product + i);
      const int64_t left = count - i;
      if (left >= 16)
        Isa::store(out + i, finish16(value, epilogue, bias == nullptr ? zero : Isa::load(bias + i),
                                     residual == nullptr ? zero : Isa::load(residual + i)));
      else
        Isa::store_first(
            out + i,
            finish16(value, epilogue, bias == nullptr ? zero : Isa::load_first(bias + i, left, 0.0f),
                     residual == nullptr ? zero : Isa::load_first(residual + i, left, 0.0f)),
            left);
    }
  }

  /// Tokens whose rows fill about a quarter of a second-level cache, so that they stay there while the panels
  /// pass by.
  static int64_t token_block(int64_t cols) noexcept {
    constexpr int64_t kFloats = 128 * 1024, kLeast = 4 * kQueryTile;
    const int64_t tokens = kFloats / (cols < 1 ? 1 : cols) / kQueryTile * kQueryTile;
    return tokens < kLeast ? kLeast : tokens;
  }

  static void multiply_f32(const std::byte* panels, int64_t rows, int64_t cols, const float* x,
                           int64_t x_stride, ProductRange range, const Epilogue& epilogue, float* out,
                           int64_t out_stride) {
    const auto* weight = reinterpret_cast<const float*>(panels);
    const int64_t row_end = range.row_end < rows ? range.row_end : rows;
    alignas(64) float tile[kQueryTile * kPanelRows];
    for_pieces(range.token_end - range.token_begin, token_block(cols), [&](int64_t first, int64_t block) {
      for (int64_t row = range.row_begin; row < row_end; row += kPanelRows) {
        const int64_t count = row_end - row < kPanelRows ? row_end - row : kPanelRows;
        const int64_t next = row + kPanelRows < row_end ? row + kPanelRows : range.row_begin;
        // Every tile asks for its share of the next panel.
        const int64_t tiles = (block + kQueryTile - 1) / kQueryTile;
        Later later = {weight + next * cols, (kPanelRows + tiles - 1) / tiles};
        for_pieces(block, kQueryTile, [&](int64_t begin, int64_t tokens) {
          const int64_t token = range.token_begin + first + begin;
          panel_product<true>(x + token * x_stride, x_stride, tokens, weight + row * cols, cols, tile,
                              kPanelRows, later);
          later.at += cols * kPanelRows / tiles;
          for (int64_t t = 0; t < tokens; ++t)
            finish(tile + t * kPanelRows, epilogue, token + t, row, count,
                   out + (token + t) * out_stride + row);
        });
      }
    });
  }

  static void layer_norm(const float* x, const float* weight, const float* bias, float eps, int64_t n,
                         float* out) {
    const auto length = static_cast<float>(n);
    const int64_t whole = n / 16 * 16;
    V sums = Isa::splat(0.0f), squares = sums;
    for (int64_t i = 0; i < whole; i += 16) sums = Isa::add(sums, Isa::load(x + i));
    if (whole < n) sums = Isa::add(sums, Isa::load_first(x + whole, n - whole, 0.0f));
    const float average = Isa::reduce(sums) / length;
    const V mean = Isa::splat(average);
    const auto square = [&](V values) __attribute__((always_inline)) {
      const V centred = Isa::subtract(values, mean);
      squares = Isa::multiply_add(centred, centred, squares);
    };
    for (int64_t i = 0; i < whole; i += 16) square(Isa::load(x + i));
    if (whole < n) square(Isa::load_first(x + whole, n - whole, average));
    const V inverse = Isa::splat(Isa::inverse_root(Isa::reduce(squares) / length + eps));
    const auto normal = [&](V values, V w, V b) __attribute__((always_inline)) {
      const V centred = Isa::multiply(Isa::subtract(values, mean), inverse);
      return bias != nullptr ? Isa::multiply_add(centred, w, b) : Isa::multiply(centred, w);
    };
    for (int64_t i = 0; i < whole; i += 16)
      Isa::store(out + i, normal(Isa::load(x + i), Isa::load(weight + i),
                                 bias != nullptr ? Isa::load(bias + i) : mean));
    if (whole == n) return;
    const int64_t rest = n - whole;
    Isa::store_first(
        out + whole,
        normal(Isa::load_first(x + whole, rest, 0.0f), Isa::load_first(weight + whole, rest, 0.0f),
               bias != nullptr ? Isa::load_first(bias + whole, rest, 0.0f) : mean),
        rest);
  }

  static void activate(Activation activation, float* x, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) Isa::store(x + i, Isa::activate(activation, Isa::load(x + i)));
    if (i < n) Isa::store_first(x + i, Isa::activate(activation, Isa::load_first(x + i, n - i, 0.0f)), n - i);
  }
};

}  // namespace assay
