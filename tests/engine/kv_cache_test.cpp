#include "engine/kv_cache.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "base/rng.hpp"

namespace assay {
namespace {

using Part = KvCache::Part;

constexpr int64_t kLayers = 2, kHeads = 3;

ModelConfig small_config(int64_t head_dim) {
  ModelConfig config;
  config.n_layers = kLayers;
  config.n_kv_heads = kHeads;
  config.head_dim = head_dim;
  return config;
}

/// The numbers of one head at one position: the same for the same place.
std::vector<float> numbers(Part part, int64_t layer, int64_t head, int64_t position, int64_t dim) {
  Rng rng(static_cast<uint64_t>(((position * kLayers + layer) * kHeads + head) * 2 + (part == Part::kKeys)));
  std::vector<float> values;
  for (int64_t i = 0; i < dim; ++i) values.push_back(static_cast<float>(rng.normal()));
  return values;
}

template <class Visit>
void for_heads(const Visit& visit) {
  for (const Part part : {Part::kKeys, Part::kValues})
    for (int64_t layer = 0; layer < kLayers; ++layer)
      for (int64_t head = 0; head < kHeads; ++head) visit(part, layer, head);
}

void fill(KvCache& cache, int64_t positions, int64_t dim) {
  cache.reserve(positions);
  for_heads([&](Part part, int64_t layer, int64_t head) {
    for (int64_t p = cache.length(); p < cache.length() + positions; ++p)
      cache.write(part, layer, head, p, numbers(part, layer, head, p, dim).data(), kernels());
  });
  cache.advance(positions);
}

/// How far a format may be from what was stored: half a step (q8: of the group's 127 and the rounding of its
/// f16 scale, 2^-11 of it; f16: half a unit of 11 bits).
float bound_of(KvFormat format, float value, float largest) {
  if (format == KvFormat::kF32) return 0.0f;
  if (format == KvFormat::kF16) return std::abs(value) * 0x1p-11f + 0x1p-25f;
  return largest / 127.0f * 0.5f + largest * 0x1.1p-11f;
}

/// The first place where the cache does not hold what was stored there.
std::string first_fault(KvCache& cache, int64_t dim) {
  std::string fault;
  std::vector<float> scratch(static_cast<size_t>(cache.length() * cache.row_dim()));
  for_heads([&](Part part, int64_t layer, int64_t head) {
    const float* rows = cache.read(part, layer, head, 0, cache.length(), scratch.data(), kernels());
    for (int64_t p = 0; p < cache.length() && fault.empty(); ++p) {
      const std::vector<float> expected = numbers(part, layer, head, p, dim);
      for (int64_t i = 0; i < cache.row_dim(); ++i) {
        const float value = i < dim ? expected[static_cast<size_t>(i)] : 0.0f;
        float largest = 0.0f;
        for (int64_t j = i / 32 * 32; j < std::min(dim, i / 32 * 32 + 32); ++j)
          largest = std::max(largest, std::abs(expected[static_cast<size_t>(j)]));
        const float found = rows[p * cache.row_dim() + i];
        if (!(std::abs(found - value) <= bound_of(cache.format(), value, largest)))
          fault = "position " + std::to_string(p) + " element " + std::to_string(i) + ": " +
                  std::to_string(value) + " became " + std::to_string(found);
      }
    }
  });
  return fault;
}

class KvCacheFormats : public testing::TestWithParam<std::tuple<KvFormat, int64_t>> {};

TEST_P(KvCacheFormats, GrowthKeepsWhatWasStored) {
  const auto [format, dim] = GetParam();
  KvCache cache(small_config(dim), format, 5000);
  for (const int64_t step : {1, 255, 1, 700}) {
    fill(cache, step, dim);
    ASSERT_EQ(first_fault(cache, dim), "") << "after " << cache.length();
  }
  std::vector<float> wrong(static_cast<size_t>(dim), 9.0f);  // planted: one row of another text
  cache.write(Part::kValues, 1, 2, 300, wrong.data(), kernels());
  EXPECT_NE(first_fault(cache, dim), "");
}

TEST_P(KvCacheFormats, ForksGoOnApart) {
  const auto [format, dim] = GetParam();
  KvCache cache(small_config(dim), format, 400);
  fill(cache, 200, dim);
  KvCache fork = cache;
  fill(fork, 100, dim);
  std::vector<float> other(static_cast<size_t>(dim), 9.0f);
  fork.write(Part::kKeys, 0, 0, 10, other.data(), kernels());
  EXPECT_EQ(200, cache.length());
  EXPECT_EQ(first_fault(cache, dim), "");
  EXPECT_NE(first_fault(fork, dim), "");
}

TEST_P(KvCacheFormats, BytesAreWhatTheShapeSays) {
  const auto [format, dim] = GetParam();
  const uint64_t row = format == KvFormat::kF32   ? 4 * static_cast<uint64_t>(dim)
                       : format == KvFormat::kF16 ? 2 * static_cast<uint64_t>(dim)
                                                  : 34 * ((static_cast<uint64_t>(dim) + 31) / 32);
  KvCache cache(small_config(dim), format, 1000);
  cache.reserve(1000);
  EXPECT_EQ(1000 * 2 * kLayers * kHeads * row, cache.bytes());
  EXPECT_EQ(2 * kLayers * kHeads * row, KvCache::bytes_per_position(small_config(dim), format));
}

INSTANTIATE_TEST_SUITE_P(All, KvCacheFormats,
                         testing::Combine(testing::Values(KvFormat::kF32, KvFormat::kF16, KvFormat::kQ8),
                                          testing::Values(int64_t{64}, int64_t{80}, int64_t{4})),
                         [](const auto& parameters) {
                           return std::string(kv_format_name(std::get<0>(parameters.param))) + "_" +
                                  std::to_string(std::get<1>(parameters.param));
                         });

TEST(KvCache, RefusesMoreThanItsContextAndTruncates) {
  KvCache cache(small_config(4), KvFormat::kF16, 10);
  cache.reserve(10);
  cache.advance(10);
  EXPECT_THROW(cache.reserve(1), Error);
  cache.truncate(4);
  EXPECT_EQ(4, cache.length());
  EXPECT_NO_THROW(cache.reserve(6));
}

}  // namespace
}  // namespace assay
