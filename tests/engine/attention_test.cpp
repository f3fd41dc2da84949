// Attention in tiles and blocks against one query at a time over plain rows, bit for bit.
#include "engine/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.hpp"

namespace assay {
namespace {

struct Shape {
  int64_t head_dim, group, window;
  KvFormat format;
};

constexpr int64_t kKvHeads = 2, kTokens = 300;

ModelConfig make_config(const Shape& shape) {
  ModelConfig config;
  config.n_layers = 1;
  config.n_kv_heads = kKvHeads;
  config.n_heads = kKvHeads * shape.group;
  config.head_dim = shape.head_dim;
  config.norm_eps = 1e-6;
  if (shape.window > 0) config.sliding_window = {shape.window};
  return config;
}

/// Rows of one text, [kTokens, heads · head_dim].
struct Text {
  std::vector<float> queries, keys, values;

  Text(const ModelConfig& config, uint64_t seed) {
    Rng rng(seed);
    const auto fill = [&](std::vector<float>& rows, int64_t heads) {
      for (int64_t i = 0; i < kTokens * heads * config.head_dim; ++i)
        rows.push_back(static_cast<float>(rng.normal()));
    };
    fill(queries, config.n_heads);
    fill(keys, config.n_kv_heads);
    fill(values, config.n_kv_heads);
  }
};

RopeAngles turn_nothing(const ModelConfig& config) {
  const auto pairs = static_cast<size_t>(config.head_dim / 2);
  return {std::vector<float>(pairs, 1.0f), std::vector<float>(pairs, 0.0f)};
}

/// A part of a text that a step takes.
struct Piece {
  const Text* text;
  KvCache* cache;
  int64_t count;
};

/// Runs the next tokens of some texts as one step and returns their rows, in order.
std::vector<float> run_step(const ModelConfig& config, std::span<const Piece> pieces, ThreadPool& pool) {
  std::vector<TokenPlace> places;
  std::vector<float> queries, keys, values;
  const auto take = [](std::vector<float>& to, const std::vector<float>& from, int64_t first, int64_t count,
                       int64_t width) {
    to.insert(to.end(), from.begin() + first * width, from.begin() + (first + count) * width);
  };
  for (const Piece& piece : pieces) {
    const int64_t first = piece.cache->length();
    piece.cache->reserve(piece.count);
    for (int64_t t = 0; t < piece.count; ++t)
      places.push_back({piece.cache, first + t, turn_nothing(config)});
    take(queries, piece.text->queries, first, piece.count, config.n_heads * config.head_dim);
    take(keys, piece.text->keys, first, piece.count, config.n_kv_heads * config.head_dim);
    take(values, piece.text->values, first, piece.count, config.n_kv_heads * config.head_dim);
  }
  std::vector<float> out(queries.size());
  attend({.places = places,
          .queries = queries.data(),
          .keys = keys.data(),
          .values = values.data(),
          .out = out.data()},
         config, kernels(), pool);
  for (const Piece& piece : pieces) piece.cache->advance(piece.count);
  return out;
}

/// The same for a whole text, one query after another, from what the cache holds of it.
std::vector<float> attend_plainly(const ModelConfig& config, const Text& text, const KvCache& cache) {
  const KernelTable& table = kernels();
  const int64_t dim = config.head_dim, wide = cache.row_dim(), group = config.n_heads / config.n_kv_heads;
  const int64_t window = config.sliding_window.empty() ? kTokens : config.sliding_window[0];
  std::vector<float> out(text.queries.size()), keys(static_cast<size_t>(kTokens * wide)), values(keys.size());
  for (int64_t head = 0; head < config.n_heads; ++head) {
    const float* k = cache.read(KvCache::Part::kKeys, 0, head / group, 0, kTokens, keys.data(), table);
    const float* v = cache.read(KvCache::Part::kValues, 0, head / group, 0, kTokens, values.data(), table);
    for (int64_t t = 0; t < kTokens; ++t) {
      const int64_t first = std::max<int64_t>(0, t - window + 1), at = (t * config.n_heads + head) * dim;
      std::vector<float> scores;
      for (int64_t p = first; p <= t; ++p)
        scores.push_back(table.dot(text.queries.data() + at, k + p * wide, dim) *
                         (1.0f / std::sqrt(static_cast<float>(dim))));
      table.softmax(scores.data(), static_cast<int64_t>(scores.size()));
      for (int64_t p = first; p <= t; ++p)
        table.add_scaled(scores[static_cast<size_t>(p - first)], v + p * wide, out.data() + at, dim);
    }
  }
  return out;
}

class Attention : public testing::TestWithParam<Shape> {
 protected:
  const ModelConfig config_ = make_config(GetParam());
  const Text text_{config_, 1}, other_{config_, 2};
  ThreadPool pool_{3};

  KvCache make_cache() const { return {config_, GetParam().format, kTokens}; }
};

TEST_P(Attention, TilesAreQueriesOneByOne) {
  KvCache cache = make_cache();
  const Piece whole[] = {{&text_, &cache, kTokens}};
  const std::vector<float> found = run_step(config_, whole, pool_);
  EXPECT_EQ(attend_plainly(config_, text_, cache), found);
  EXPECT_NE(attend_plainly(config_, other_, cache), found);  // planted: other queries
}

TEST_P(Attention, StepsAndNeighboursChangeNothing) {
  KvCache whole_cache = make_cache(), cache = make_cache(), other_cache = make_cache();
  const Piece whole[] = {{&text_, &whole_cache, kTokens}};
  const std::vector<float> expected = run_step(config_, whole, pool_);
  std::vector<float> found;
  const auto width = static_cast<size_t>(config_.n_heads * config_.head_dim);
  for (const int64_t count : {1, 1, 31, 100, 7, 1, 159}) {
    const Piece pieces[] = {{&other_, &other_cache, count / 2 + 1}, {&text_, &cache, count}};
    const std::vector<float> rows = run_step(config_, pieces, pool_);
    found.insert(found.end(), rows.end() - static_cast<std::ptrdiff_t>(static_cast<size_t>(count) * width),
                 rows.end());
  }
  EXPECT_EQ(expected, found);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Shape{64, 2, 0, KvFormat::kF16}, Shape{64, 2, 0, KvFormat::kF32},
                                         Shape{64, 2, 0, KvFormat::kQ8}, Shape{40, 3, 0, KvFormat::kQ8},
                                         Shape{80, 1, 0, KvFormat::kF16}, Shape{128, 8, 0, KvFormat::kF16},
                                         Shape{64, 2, 7, KvFormat::kF16}, Shape{64, 4, 100, KvFormat::kQ8},
                                         Shape{40, 2, 16, KvFormat::kF32}, Shape{16, 48, 33, KvFormat::kF16}),
                         [](const auto& parameters) {
                           const Shape& shape = parameters.param;
                           return "dim" + std::to_string(shape.head_dim) + "_group" +
                                  std::to_string(shape.group) + "_window" + std::to_string(shape.window) +
                                  "_" + std::string(kv_format_name(shape.format));
                         });

}  // namespace
}  // namespace assay
