#pragma once
#include "kernels/encoder_float_tiles.hpp"

// attend() over the outer products of encoder_float_tiles.hpp: up to kQueryTile queries at a time, whose
// scores stay in the first-level cache between the two products.

namespace assay {

template <class Isa>
struct FloatAttention {
  using V = typename Isa::V;
  using Tiles = FloatTiles<Isa>;

  /// Keys [0, count) as panels [head_dim, 32]; keys that the last panel lacks are zeros.
  static void pack_keys(const AttentionJob& job, int64_t count, float* panels) noexcept {
    for (int64_t j = 0; j < count; j += 16) {
      float* panel = panels + j / 32 * 32 * job.head_dim + j % 32;
      const float* k = job.k + j * job.stride;
      const int64_t rows = count - j < 16 ? count - j : 16;
      int64_t d = 0;
      if (rows == 16)
        for (; d + 16 <= job.head_dim; d += 16) Isa::transpose(k + d, job.stride, panel + d * 32, 32);
      for (; d < job.head_dim; ++d)
        for (int64_t r = 0; r < 16; ++r) panel[d * 32 + r] = r < rows ? k[r * job.stride + d] : 0.0f;
    }
    const V zero = Isa::splat(0.0f);
    if ((count - 1) % 32 < 16)  // the second half of the last panel
      for (int64_t d = 0; d < job.head_dim; ++d)
        Isa::store(panels + (count - 1) / 32 * 32 * job.head_dim + d * 32 + 16, zero);
  }

  /// Rows [0, count) of v as panels [count, 32] of 32 columns; columns that the last panel lacks are zeros.
  static void pack_values(const AttentionJob& job, int64_t count, float* panels) noexcept {
    for (int64_t d = 0; d < job.head_dim; d += 32)
      for (int64_t j = 0; j < count; ++j, panels += 32)
        for (int64_t i = 0; i < 32; i += 16) {
          const int64_t left = job.head_dim - d - i;
          const float* v = job.v + j * job.stride + d + i;
          Isa::store(panels + i, left >= 16 ? Isa::load(v)
                                 : left > 0 ? Isa::load_first(v, left, 0.0f)
                                            : Isa::splat(0.0f));
        }
  }

  /// Calls edge(block, first, last) or whole(block) for the blocks of 16 that `keys` touches, in order.
  template <class Edge, class Whole>
  [[gnu::always_inline]] static inline void for_blocks(VisibleKeys keys, const Edge& edge,
                                                       const Whole& whole) {
    int64_t j = keys.begin / 16 * 16;
    if (j < keys.begin) {
      edge(j, keys.begin - j, keys.end - j < 16 ? keys.end - j : 16);
      j += 16;
    }
    for (; j + 16 <= keys.end; j += 16) whole(j);
    if (j < keys.end) edge(j, 0, keys.end - j);
  }

  /// scores[j] = fma(scores[j], scale, relative[j]).
  static void add_relative(VisibleKeys keys, float scale, const float* relative, float* scores) noexcept {
    const V factor = Isa::splat(scale);
    for_blocks(
        keys,
        [&](int64_t j, int64_t first, int64_t last) __attribute__((always_inline)) {
          const V bias = Isa::load_between(relative + j, first, last, 0.0f);
          Isa::store(scores + j, Isa::multiply_add(Isa::load(scores + j), factor, bias));
        },
        [&](int64_t j) __attribute__((always_inline)) {
          Isa::store(scores + j, Isa::multiply_add(Isa::load(scores + j), factor, Isa::load(relative + j)));
        });
  }

  /// In four chains; the order does not matter to a maximum.
  static float largest_score(VisibleKeys keys, const float* scores) noexcept {
    const float lowest = -__builtin_inff();
    V largest[4];
    for (V& lanes : largest) lanes = Isa::splat(lowest);
    int64_t j = (keys.begin + 15) / 16 * 16;
    for (; j + 64 <= keys.end; j += 64)
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) largest[i] = Isa::maximum(Isa::load(scores + j + 16 * i), largest[i]);
    const auto edge = [&](int64_t block, int64_t first, int64_t last) __attribute__((always_inline)) {
      largest[0] = Isa::maximum(Isa::load_between(scores + block, first, last, lowest), largest[0]);
    };
    const auto whole = [&](int64_t block) __attribute__((always_inline)) {
      largest[0] = Isa::maximum(Isa::load(scores + block), largest[0]);
    };
    if (keys.begin % 16 != 0)
      for_blocks({keys.begin, keys.end < j ? keys.end : keys.begin / 16 * 16 + 16}, edge, whole);
    if (j < keys.end) for_blocks({j, keys.end}, edge, whole);
    for (int i = 1; i < 4; ++i) largest[0] = Isa::maximum(largest[i], largest[0]);
    return Isa::largest(largest[0]);
  }

  /// exp((scores - largest) * scale), zero for the keys of the blocks that are not visible; the sum of these.
  [[gnu::always_inline]] static inline float exponentials(VisibleKeys keys, float scale, float largest,
                                                          float* scores) noexcept {
    const V factor = Isa::splat(scale), offset = Isa::splat(largest);
    V sums = Isa::splat(0.0f);
    const auto power = [&](int64_t j) __attribute__((always_inline)) {
      return Isa::exp_low(Isa::multiply(Isa::subtract(Isa::load(scores + j), offset), factor));
    };
    for_blocks(
        keys,
        [&](int64_t j, int64_t first, int64_t last) __attribute__((always_inline)) {
          const V visible = Isa::keep_between(power(j), first, last);
          Isa::store(scores + j, visible);
          sums = Isa::add(sums, visible);
        },
        [&](int64_t j) __attribute__((always_inline)) {
          const V powers = power(j);
          Isa::store(scores + j, powers);
          sums = Isa::add(sums, powers);
        });
    return Isa::reduce(sums);
  }

  /// The weights of some queries, zero for the keys of [all.begin, all.end) that one does not see; 1 / their
  /// sums.
  static void soften(const AttentionJob& job, int64_t query, int64_t queries, VisibleKeys all, float* scores,
                     int64_t scores_stride, float* inverse) noexcept {
    float largest[kQueryTile];
    for (int64_t t = 0; t < queries; ++t) {
      const VisibleKeys keys = visible_keys(query + t, job.length, job.window);
      float* row = scores + t * scores_stride;
      if (job.relative != nullptr)
        add_relative(keys, job.scale, job.relative + job.length - 1 - query - t, row);
      largest[t] = largest_score(keys, row);
    }
    const V zero = Isa::splat(0.0f);
    const float scale = job.relative != nullptr ? 1.0f : job.scale;
    for (int64_t t = 0; t < queries; ++t) {
      const VisibleKeys keys = visible_keys(query + t, job.length, job.window);
      float* row = scores + t * scores_stride;
      inverse[t] = 1.0f / exponentials(keys, scale, largest[t], row);
      for (int64_t j = all.begin / 16 * 16; j + 16 <= keys.begin; j += 16) Isa::store(row + j, zero);
      for (int64_t j = (keys.end + 15) / 16 * 16; j < all.end; j += 16) Isa::store(row + j, zero);
    }
  }

  /// out = (weights v) * inverse for some queries; `scores` starts at the first key that any of them sees.
  static void weigh(const AttentionJob& job, const float* scores, int64_t scores_stride, int64_t queries,
                    int64_t keys, const float* values, int64_t values_stride, const float* inverse,
                    float* out) noexcept {
    alignas(64) float tile[kQueryTile * 32];
    for (int64_t d = 0; d < job.head_dim; d += 32, values += values_stride) {
      Tiles::panel_product(scores, scores_stride, queries, values, keys, tile, 32);
      const int64_t columns = job.head_dim - d < 32 ? job.head_dim - d : 32;
      for (int64_t t = 0; t < queries; ++t)
        for (int64_t i = 0; i < columns; i += 16) {
          const V value = Isa::multiply(Isa::load(tile + 32 * t + i), Isa::splat(inverse[t]));
          float* at = out + t * job.out_stride + d + i;
          if (columns - i >= 16)
            Isa::store(at, value);
          else
            Isa::store_first(at, value, columns - i);
        }
    }
  }

  static void attend(const AttentionJob& job, float* scratch) {
    const AttentionScratch layout = attention_layout(job.length, job.head_dim);
    float* base = scratch + (64 - reinterpret_cast<uintptr_t>(scratch) % 64) % 64 / sizeof(float);
    float *keys = base + layout.keys, *values = base + layout.values, *scores = base + layout.scores;
    const int64_t count = visible_keys(job.queries - 1, job.length, job.window).end;
    pack_keys(job, count, keys);
    pack_values(job, count, values);
    for_pieces(job.queries, kQueryTile, [&](int64_t query, int64_t queries) {
      const int64_t begin = visible_keys(query, job.length, job.window).begin;
      const VisibleKeys all = {begin, visible_keys(query + queries - 1, job.length, job.window).end};
      for (int64_t j = begin / 32 * 32; j < all.end; j += 32)
        Tiles::panel_product(job.q + query * job.stride, job.stride, queries, keys + j * job.head_dim,
                             job.head_dim, scores + j, layout.scores_stride);
      float inverse[kQueryTile];
      soften(job, query, queries, all, scores, layout.scores_stride, inverse);
      weigh(job, scores + begin, layout.scores_stride, queries, all.end - begin, values + 32 * begin,
            32 * count, inverse, job.out + query * job.out_stride);
    });
  }
};

/// The table of one instruction set.
template <class Isa>
constexpr EncoderFloatIsa encoder_float_table() {
  return {.f32_panel_bytes = f32_panel_bytes,
          .pack_f32 = pack_f32_panels,
          .multiply_f32 = FloatTiles<Isa>::multiply_f32,
          .layer_norm = FloatTiles<Isa>::layer_norm,
          .activate = FloatTiles<Isa>::activate,
          .attend = FloatAttention<Isa>::attend};
}

}  // namespace assay
