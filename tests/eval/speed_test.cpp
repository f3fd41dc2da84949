// Samples of timings, the bounds that sentences may speak of, and what a token costs by shapes alone.
#include "eval/speed.hpp"

#include <gtest/gtest.h>

#include "engine/kv_cache.hpp"
#include "eval/machine.hpp"
#include "eval/speed_bounds.hpp"
#include "kernels/kernels.hpp"

namespace assay {
namespace {

TEST(SpeedSample, PercentilesNeedTwentyValues) {
  std::vector<double> values;
  for (int i = 19; i > 0; --i) values.push_back(i);
  const SpeedSample few = summarize_speed(values);
  EXPECT_EQ(few.n(), 19);
  EXPECT_EQ(few.median, 10.0);
  EXPECT_EQ(few.min, 1.0);
  EXPECT_EQ(few.max, 19.0);
  EXPECT_FALSE(few.p5 || few.p95);
  values.push_back(20.0);
  const SpeedSample enough = summarize_speed(values);
  EXPECT_DOUBLE_EQ(enough.p5.value(), 1.95);  // type 7: position 0.05 * 19 of 1 … 20
  EXPECT_DOUBLE_EQ(enough.p95.value(), 19.05);
  EXPECT_EQ(enough.values.front(), 19.0) << "in the order they were measured";
}

SpeedFigures figures_at(const char* name, double rate, double gigabytes, double share) {
  return {.name = name, .decode_rate = rate, .bytes_per_token = gigabytes * 1e9, .bandwidth_share = share};
}

TEST(SpeedBounds, AReachedBandwidthExplainsTheRatioOfTwoFormats) {
  const SpeedFigures both[] = {figures_at("Q4_K", 90.0, 0.53, 0.9), figures_at("Q8_0", 50.0, 1.0, 0.95)};
  const auto sentences = explain_bounds(both);
  ASSERT_EQ(sentences.size(), 2u);
  EXPECT_EQ(sentences[0],
            "decode is bandwidth-bound: Q4_K reads 0.53 of Q8_0's bytes, expected 1.89x, measured 1.80x");
  EXPECT_EQ(sentences[1],
            "decode of Q8_0 is bandwidth-bound: 1.000 GB a token, 95 % of what this machine reads");
}

TEST(SpeedBounds, NothingIsSaidOfABoundThatIsNotReached) {
  const double below = kBoundShare - 1e-9;
  const SpeedFigures none[] = {figures_at("Q4_K", 90.0, 0.53, below), figures_at("Q8_0", 50.0, 1.0, below)};
  EXPECT_TRUE(explain_bounds(none).empty());
  // One of two: no ratio to the other, which something else holds.
  const SpeedFigures one[] = {figures_at("Q4_K", 90.0, 0.53, below),
                              figures_at("Q8_0", 50.0, 1.0, kBoundShare)};
  const auto sentences = explain_bounds(one);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_EQ(sentences[0].find("Q4_K"), std::string::npos);
  // A model of some megabytes comes from the caches, slower than the memory or faster.
  const SpeedFigures cached[] = {figures_at("Q8_0", 9000.0, 0.001, 0.9), figures_at("Q8_0", 90.0, 1.0, 1.2)};
  EXPECT_TRUE(explain_bounds(cached).empty());
  SpeedFigures prefill{.name = "Q8_0", .int8_share = below};
  EXPECT_TRUE(explain_bounds({&prefill, 1}).empty());
  prefill.int8_share = kBoundShare;
  EXPECT_EQ(explain_bounds({&prefill, 1}),
            std::vector<std::string>{"prefill of Q8_0 is compute-bound: 80 % of this machine's int8 "
                                     "multiply-adds"});
}

TEST(Footprint, ATiedTableIsReadWholeAndAnotherByTheRow) {
  const TensorSize table{TensorRole::kTokenEmbedding, 100, 8, 1600}, head{TensorRole::kOutput, 100, 8, 800},
      up{TensorRole::kFfnUp, 32, 8, 512}, norm{TensorRole::kAttnNorm, 1, 8, 32};
  const TensorSize tied[] = {table, up, norm}, apart[] = {table, up, norm, head};
  const Footprint one = footprint_of(tied, true), two = footprint_of(apart, false);
  EXPECT_EQ(one.weight_bytes, 1600u + 512 + 32);
  EXPECT_EQ(one.decoded_bytes, one.weight_bytes);
  EXPECT_EQ(one.layer_macs, 32u * 8);
  EXPECT_EQ(one.head_macs, 100u * 8);
  EXPECT_EQ(two.weight_bytes, 1600u + 512 + 32 + 800);
  EXPECT_EQ(two.decoded_bytes, 16u + 512 + 32 + 800);
  EXPECT_EQ(two.layer_macs, one.layer_macs);
  EXPECT_EQ(two.head_macs, one.head_macs);
}

TEST(Footprint, DecodingReadsWhatTheWindowsShow) {
  ModelConfig config;
  config.n_layers = 2;
  config.n_kv_heads = 2;
  config.head_dim = 64;
  const uint64_t layer = KvCache::bytes_per_position(config, KvFormat::kF16) / 2;
  EXPECT_EQ(layer, 2u * 2 * 64 * 2);
  EXPECT_EQ(kv_bytes_read(config, KvFormat::kF16, 10, 3), 2 * layer * (11 + 12 + 13));
  config.sliding_window = {0, 12};
  EXPECT_EQ(kv_bytes_read(config, KvFormat::kF16, 10, 3), layer * (11 + 12 + 13) + layer * (11 + 12 + 12));
}

TEST(Machine, PeaksArePositiveWhereThereIsALoop) {
  EXPECT_EQ(measure_integer_peak("scalar", 2), 0.0);
  EXPECT_EQ(measure_integer_peak("", 1), 0.0);
  for (const KernelTable* table : available_kernels()) {
    if (table->isa != "avx2" && table->isa != "avx512vnni") continue;
    EXPECT_GT(measure_integer_peak(table->isa, 1), 1e9) << "a multiply-add a nanosecond is far too slow";
  }
  EXPECT_FALSE(processor_name().empty());
}

}  // namespace
}  // namespace assay
