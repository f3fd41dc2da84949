#include "engine/kv_cache.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace assay {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.n_layers = 2;
  config.n_kv_heads = 3;
  config.head_dim = 4;
  return config;
}

TEST(KvCache, GrowthKeepsWhatWasStored) {
  KvCache cache(small_config(), Compute::kExact, 5000);
  int64_t stored = 0;
  for (const int64_t step : {1, 255, 1, 700, 2000}) {
    cache.reserve(step);
    for (int64_t layer = 0; layer < 2; ++layer) {
      for (int64_t head = 0; head < 3; ++head) {
        for (int64_t p = stored; p < stored + step; ++p) {
          cache.f32_keys(layer, head)[p * 4] = static_cast<float>(p * 10 + layer * 3 + head);
          cache.f32_values(layer, head)[p * 4 + 3] = -static_cast<float>(p * 10 + layer * 3 + head);
        }
      }
    }
    cache.advance(step);
    stored += step;
    for (int64_t layer = 0; layer < 2; ++layer) {
      for (int64_t head = 0; head < 3; ++head) {
        for (int64_t p = 0; p < stored; ++p) {
          ASSERT_EQ(static_cast<float>(p * 10 + layer * 3 + head), cache.f32_keys(layer, head)[p * 4]);
          ASSERT_EQ(-static_cast<float>(p * 10 + layer * 3 + head), cache.f32_values(layer, head)[p * 4 + 3]);
        }
      }
    }
  }
}

TEST(KvCache, BytesAreWhatTheShapeSays) {
  KvCache cache(small_config(), Compute::kFast, 1000);
  cache.reserve(1000);
  EXPECT_EQ(1000u * 2 * 2 * 3 * 4 * sizeof(uint16_t), cache.bytes());
  EXPECT_EQ(2u * 2 * 3 * 4 * sizeof(uint16_t), KvCache::bytes_per_position(small_config(), Compute::kFast));
}

TEST(KvCache, RefusesMoreThanItsContextAndTruncates) {
  KvCache cache(small_config(), Compute::kFast, 10);
  cache.reserve(10);
  cache.advance(10);
  EXPECT_THROW(cache.reserve(1), Error);
  cache.truncate(4);
  EXPECT_EQ(4, cache.length());
  EXPECT_NO_THROW(cache.reserve(6));
}

}  // namespace
}  // namespace assay
