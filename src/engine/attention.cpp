#include "engine/attention.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/aligned.hpp"
#include "kernels/mixture.hpp"

// Scores, softmax and mixtures of a tile: some tokens of one sequence and the queries of one kv head. Keys
// and values are unpacked block by block, once for the whole tile; the softmax of a query runs over all its
// scores at once, and its mixture grows position by position, so that nothing depends on tiles and blocks.

namespace assay {
namespace {

using Part = KvCache::Part;

/// Queries of a tile at most, and floats of a block of keys or values: 16 kB, so that the block, its queries
/// and their scores stay in the first-level cache.
constexpr int64_t kTileQueries = 32;
constexpr int64_t kBlockFloats = 4096;

void prepare_head(float* head, const float* norm, const RopeAngles& angles, const ModelConfig& config,
                  const KernelTable& kernels) {
  const int64_t dim = config.head_dim;
  if (norm != nullptr) kernels.rms_norm(head, norm, static_cast<float>(config.norm_eps), dim, head);
  rotate_head({head, static_cast<size_t>(dim)}, angles, config.rope.interleaved);
}

void prepare_token(const AttentionStep& step, int64_t token, const ModelConfig& config,
                   const KernelTable& kernels) {
  const int64_t dim = config.head_dim;
  const TokenPlace& place = step.places[static_cast<size_t>(token)];
  for (int64_t head = 0; head < config.n_heads; ++head)
    prepare_head(step.queries + (token * config.n_heads + head) * dim, step.q_norm, place.angles, config,
                 kernels);
  for (int64_t head = 0; head < config.n_kv_heads; ++head) {
    const int64_t offset = (token * config.n_kv_heads + head) * dim;
    prepare_head(step.keys + offset, step.k_norm, place.angles, config, kernels);
    place.cache->write(Part::kKeys, step.layer, head, place.position, step.keys + offset, kernels);
    place.cache->write(Part::kValues, step.layer, head, place.position, step.values + offset, kernels);
  }
}

/// Tokens [first, first + count) of a step: neighbours in one sequence.
struct Tile {
  int64_t first, count;
};

std::vector<Tile> cut_tiles(std::span<const TokenPlace> places, int64_t most) {
  std::vector<Tile> tiles;
  for (size_t t = 0; t < places.size(); ++t) {
    if (!tiles.empty() && tiles.back().count < most && places[t].cache == places[t - 1].cache)
      ++tiles.back().count;
    else
      tiles.push_back({static_cast<int64_t>(t), 1});
  }
  return tiles;
}

/// What a thread keeps from tile to tile. Rows are those of the tile's queries, token after token.
struct Scratch {
  AlignedVector<float> queries, mixtures;  ///< [rows, row_dim]
  AlignedVector<float> scores;             ///< [rows, positions]
  AlignedVector<float> block;              ///< [positions of a block, row_dim]
};

/// One tile and one kv head.
class TileAttention {
 public:
  TileAttention(const AttentionStep& step, const ModelConfig& config, const KernelTable& kernels, Tile tile,
                int64_t head, Scratch& scratch)
      : step_(step),
        kernels_(kernels),
        cache_(*step.places[static_cast<size_t>(tile.first)].cache),
        scratch_(scratch),
        tile_(tile),
        head_(head),
        group_(config.n_heads / config.n_kv_heads),
        n_heads_(config.n_heads),
        dim_(config.head_dim),
        row_dim_(cache_.row_dim()),
        start_(step.places[static_cast<size_t>(tile.first)].position),
        window_(config.sliding_window.empty() ? 0 : config.sliding_window[static_cast<size_t>(step.layer)]) {}

  void run() {
    const int64_t rows = tile_.count * group_;
    positions_ = end_of(tile_.count - 1) - begin_of(0);
    block_ = std::max<int64_t>(16, kBlockFloats / row_dim_);
    scratch_.scores.resize(std::max(scratch_.scores.size(), static_cast<size_t>(rows * positions_)));
    scratch_.block.resize(std::max(scratch_.block.size(), static_cast<size_t>(block_ * row_dim_)));
    load_queries(rows);
    score(rows);
    for (int64_t t = 0; t < tile_.count; ++t)
      for (int64_t i = 0; i < group_; ++i)
        kernels_.softmax(score_at(t * group_ + i, begin_of(t)), end_of(t) - begin_of(t));
    scratch_.mixtures.assign(static_cast<size_t>(rows * row_dim_), 0.0f);
    mix(rows);
    store_mixtures();
  }

 private:
  /// The positions that token t of the tile sees: [begin_of(t), end_of(t)).
  int64_t end_of(int64_t t) const { return start_ + t + 1; }
  int64_t begin_of(int64_t t) const { return window_ > 0 ? std::max<int64_t>(0, end_of(t) - window_) : 0; }
  float* score_at(int64_t row, int64_t position) {
    return scratch_.scores.data() + row * positions_ + (position - begin_of(0));
  }
  int64_t offset_of(int64_t t, int64_t i) const {
    return ((tile_.first + t) * n_heads_ + head_ * group_ + i) * dim_;
  }

  void load_queries(int64_t rows) {
    scratch_.queries.assign(static_cast<size_t>(rows * row_dim_), 0.0f);
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(step_.queries + offset_of(row / group_, row % group_), dim_,
                  scratch_.queries.data() + row * row_dim_);
  }

  /// Every query with every position of the tile; those that a query does not see are not read later.
  void score(int64_t rows) {
    const Queries queries{scratch_.queries.data(), row_dim_, rows, row_dim_};
    const float scale = 1.0f / std::sqrt(static_cast<float>(dim_));
    for (int64_t at = begin_of(0); at < end_of(tile_.count - 1); at += block_) {
      const int64_t count = std::min(block_, end_of(tile_.count - 1) - at);
      const float* keys =
          cache_.read(Part::kKeys, step_.layer, head_, at, count, scratch_.block.data(), kernels_);
      kernels_.score(queries, keys, count, scale, score_at(0, at), positions_);
    }
  }

  /// Positions that all tokens see go to all rows at once, the others to the rows of those that see them.
  void mix(int64_t rows) {
    const int64_t last = tile_.count - 1, end = end_of(last);
    const int64_t common_begin = std::min(begin_of(last), end),
                  common_end = std::max(end_of(0), common_begin);
    for (int64_t at = begin_of(0); at < end;) {
      const int64_t border = at < common_begin ? common_begin : at < common_end ? common_end : end;
      const int64_t count = std::min(block_, border - at);
      const float* values =
          cache_.read(Part::kValues, step_.layer, head_, at, count, scratch_.block.data(), kernels_);
      if (at >= common_begin && at < common_end) {
        mix_rows(0, rows, values, at, count);
      } else {
        for (int64_t t = 0; t < tile_.count; ++t) {
          const int64_t from = std::max(at, begin_of(t)), to = std::min(at + count, end_of(t));
          if (from < to) mix_rows(t * group_, group_, values + (from - at) * row_dim_, from, to - from);
        }
      }
      at += count;
    }
  }

  void mix_rows(int64_t row, int64_t rows, const float* values, int64_t position, int64_t count) {
    mix_onto_(score_at(row, position), positions_, rows, values, count, row_dim_,
              scratch_.mixtures.data() + row * row_dim_, row_dim_);
  }

  void store_mixtures() {
    for (int64_t row = 0; row < tile_.count * group_; ++row)
      std::copy_n(scratch_.mixtures.data() + row * row_dim_, dim_,
                  step_.out + offset_of(row / group_, row % group_));
  }

  const AttentionStep& step_;
  const KernelTable& kernels_;
  const MixOnto mix_onto_ = mixture_kernel(kernels_.isa);
  const KvCache& cache_;
  Scratch& scratch_;
  const Tile tile_;
  const int64_t head_, group_, n_heads_, dim_, row_dim_;
  const int64_t start_;   ///< position of the tile's first token
  const int64_t window_;  ///< 0: all
  int64_t positions_ = 0, block_ = 0;
};

}  // namespace

void attend(const AttentionStep& step, const ModelConfig& config, const KernelTable& kernels,
            ThreadPool& pool) {
  const auto tokens = static_cast<int64_t>(step.places.size());
  pool.run_ranges(tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) prepare_token(step, token, config, kernels);
  });
  const int64_t group = config.n_heads / config.n_kv_heads;
  const std::vector<Tile> tiles = cut_tiles(step.places, std::max<int64_t>(1, kTileQueries / group));
  const auto count = static_cast<int64_t>(tiles.size());
  // Heads outside, tiles inside: later tokens cost more, and so every range gets some of each.
  pool.run_ranges(count * config.n_kv_heads, 1, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;  // a thread keeps what its longest sequence needed
    for (int64_t i = begin; i < end; ++i)
      TileAttention(step, config, kernels, tiles[static_cast<size_t>(i % count)], i / count, scratch).run();
  });
}

}  // namespace assay
