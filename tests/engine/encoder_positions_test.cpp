// Relative position buckets against transformers' MPNetEncoder.relative_position_bucket, and batches.
#include "engine/encoder_positions.hpp"

#include <gtest/gtest.h>

#include <map>

#include "engine/encoder_batch.hpp"

namespace assay {
namespace {

TEST(RelativeBucket, IsTransformers) {
  // The borders of every bucket, printed by transformers 4 (32 buckets, distance 128).
  const std::map<int64_t, int64_t> expected = {
      {-200, 15}, {-128, 15}, {-127, 15}, {-91, 15}, {-90, 14}, {-64, 14}, {-63, 13}, {-46, 13},
      {-45, 12},  {-32, 12},  {-31, 11},  {-23, 11}, {-22, 10}, {-16, 10}, {-15, 9},  {-12, 9},
      {-11, 8},   {-8, 8},    {-7, 7},    {-1, 1},   {0, 0},    {1, 17},   {7, 23},   {8, 24},
      {11, 24},   {12, 25},   {16, 26},   {64, 30},  {127, 31}, {200, 31}};
  for (const auto& [distance, bucket] : expected)
    EXPECT_EQ(bucket, relative_bucket(distance, 32, 128)) << distance;
}

TEST(EncoderPositions, ShorterTextsReadTheMiddleOfTheLongest) {
  ModelConfig config;
  config.n_heads = 2;
  config.encoder.emplace();
  config.encoder->relative_buckets = 32;
  std::vector<float> table;  // bucket b, head h: 100 h + b
  for (int bucket = 0; bucket < 32; ++bucket)
    for (int head = 0; head < 2; ++head) table.push_back(static_cast<float>(100 * head + bucket));
  EncoderPositions positions(config, table);
  positions.reserve(40);
  for (const int64_t length : {int64_t{1}, int64_t{9}, int64_t{40}})
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t distance = 1 - length; distance < length; ++distance)
        EXPECT_EQ(static_cast<float>(100 * head + relative_bucket(distance, 32, 128)),
                  positions.relative(head, length)[distance + length - 1]);
}

Encoding text_of(size_t length) {
  return {std::vector<TokenId>(length, 1), std::vector<int32_t>(length, 0)};
}

TEST(Batches, HoldEveryTextOnceLongestFirst) {
  std::vector<Encoding> texts;
  for (size_t i = 0; i < 300; ++i) texts.push_back(text_of(1 + i * 37 % 200));
  for (const int threads : {1, 2, 3, 8}) {
    const EncoderPlan plan = plan_batches(texts, threads);
    EXPECT_EQ(200, plan.longest);
    std::vector<int> seen(texts.size(), 0);
    int64_t before = plan.longest;
    for (const EncoderBatch& batch : plan.batches) {
      ASSERT_EQ(batch.texts.size() + 1, batch.begin.size());
      EXPECT_EQ(0, batch.begin.front());
      for (size_t i = 0; i < batch.texts.size(); ++i) {
        const int64_t length = batch.length(static_cast<int64_t>(i));
        EXPECT_EQ(texts[batch.texts[i]].ids.size(), static_cast<size_t>(length));
        EXPECT_LE(length, before);
        before = length;
        ++seen[batch.texts[i]];
      }
    }
    EXPECT_EQ(std::vector<int>(texts.size(), 1), seen);
    EXPECT_EQ(threads > 1, plan.one_thread_each);
  }
}

TEST(Batches, FewTokensAreRunByAllThreadsTogether) {
  EXPECT_FALSE(plan_batches(std::vector{text_of(16)}, 2).one_thread_each);
  EXPECT_FALSE(plan_batches(std::vector{text_of(400), text_of(20)}, 2).one_thread_each);
  EXPECT_TRUE(plan_batches(std::vector{text_of(256), text_of(256)}, 2).one_thread_each);
  EXPECT_TRUE(plan_batches({}, 2).batches.empty());
}

}  // namespace
}  // namespace assay
