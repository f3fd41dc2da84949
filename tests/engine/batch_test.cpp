// Sequences that run together give what each gives alone: tokens, text and last logits, bit for bit.
#include "engine/batch.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

struct Case {
  const char* model;
  Compute compute;
  std::optional<KvFormat> kv;
};

/// Prompts of 1 to about 30 tokens, more of them than any batch below; one stops early.
std::vector<BatchRequest> make_requests(const LanguageModel& model) {
  const std::string words = "it was number seven that the quick brown fox jumped over, once upon a time";
  std::vector<BatchRequest> requests;
  for (size_t i = 0; i < 9; ++i) {
    BatchRequest request{.prompt = model.tokenizer().encode(words.substr(3 * i, 1 + i * i * 31 % 60))};
    if (request.prompt.size() > 30) request.prompt.resize(30);
    request.options.max_tokens = 3 + static_cast<int64_t>(5 * i % 13);
    requests.push_back(std::move(request));
  }
  return requests;
}

void expect_same(const Generation& expected, const Generation& found, const std::string& where) {
  EXPECT_EQ(expected.tokens, found.tokens) << where;
  EXPECT_EQ(expected.text, found.text) << where;
  EXPECT_EQ(expected.logits_hash, found.logits_hash) << where;
  EXPECT_EQ(expected.finish, found.finish) << where;
}

class Batch : public testing::TestWithParam<Case> {
 protected:
  LanguageModel open(int threads) const {
    return {test::source_file("tests/models") / GetParam().model,
            {.threads = threads, .compute = GetParam().compute, .kv = GetParam().kv}};
  }
};

TEST_P(Batch, EachSequenceIsItsOwnRunForAnyBatchAndThreads) {
  LanguageModel alone = open(1);
  const std::vector<BatchRequest> requests = make_requests(alone);
  std::vector<Generation> expected;
  for (const BatchRequest& request : requests)
    expected.push_back(generate(alone, request.prompt, request.options));
  for (const int threads : {1, 2, 3}) {
    LanguageModel model = open(threads);
    for (const int64_t batch : {1, 2, 3, 8, 16}) {
      const std::vector<Generation> found = generate_batch(model, requests, {.batch = batch});
      ASSERT_EQ(expected.size(), found.size());
      for (size_t i = 0; i < found.size(); ++i)
        expect_same(expected[i], found[i],
                    "batch " + std::to_string(batch) + " threads " + std::to_string(threads) + " prompt " +
                        std::to_string(i));
    }
  }
}

TEST_P(Batch, SamplesShareTheirPromptAndAreTheirOwnRuns) {
  LanguageModel model = open(2);
  std::vector<BatchRequest> requests = make_requests(model);
  requests.resize(3);
  for (BatchRequest& request : requests) {
    request.options.sampling = {.temperature = 1.5f, .seed = 11};
    request.samples = 4;
  }
  for (const int64_t batch : {1, 3, 16}) {
    const std::vector<Generation> found = generate_batch(model, requests, {.batch = batch});
    ASSERT_EQ(12u, found.size());
    for (size_t i = 0; i < found.size(); ++i) {
      GenerateOptions options = requests[i / 4].options;
      options.sampling.seed += i % 4;
      expect_same(generate(model, requests[i / 4].prompt, options), found[i],
                  "batch " + std::to_string(batch) + " result " + std::to_string(i));
      const auto prompt = static_cast<int64_t>(requests[i / 4].prompt.size());
      EXPECT_EQ(i % 4 == 0 ? 0 : prompt, found[i].cached_tokens);
    }
    EXPECT_NE(found[0].tokens, found[1].tokens);
  }
}

TEST_P(Batch, ACachedPrefixChangesNothing) {
  LanguageModel model = open(2);
  const std::vector<BatchRequest> requests = make_requests(model);
  std::unique_ptr<CachedText> kept;
  BatchOptions keep;
  keep.keep = &kept;
  const std::vector<Generation> first = generate_batch(model, std::span(requests).first(1), keep);
  ASSERT_NE(nullptr, kept);
  // A longer text that begins with the first prompt and its answer; the prompt again; and strangers.
  std::vector<BatchRequest> next = requests;
  next[1].prompt = kept->tokens;
  next[1].prompt.insert(next[1].prompt.end(), {5, 6, 7});
  const std::vector<Generation> found = generate_batch(model, next, {.batch = 3, .prefix = kept.get()});
  for (size_t i = 0; i < next.size(); ++i)
    expect_same(generate(model, next[i].prompt, next[i].options), found[i], "prompt " + std::to_string(i));
  EXPECT_EQ(static_cast<int64_t>(kept->tokens.size()), found[1].cached_tokens);
  EXPECT_EQ(static_cast<int64_t>(next[0].prompt.size()) - 1, found[0].cached_tokens);
}

TEST_P(Batch, GuessesChangeNothingAndWrongOnesAreCounted) {
  LanguageModel model = open(2), same = open(1);
  const std::vector<BatchRequest> requests = make_requests(model);
  for (const bool lookup : {true, false}) {
    BatchOptions options{.batch = lookup ? 4 : 1};
    options.make_drafter = [&] { return lookup ? make_lookup_drafter(6) : make_model_drafter(same, 5); };
    const std::vector<Generation> found = generate_batch(model, requests, options);
    int64_t drafted = 0, accepted = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      expect_same(generate(model, requests[i].prompt, requests[i].options), found[i],
                  "prompt " + std::to_string(i));
      drafted += found[i].drafted;
      accepted += found[i].accepted;
    }
    EXPECT_LE(accepted, drafted);
    if (!lookup) {
      EXPECT_GT(drafted, 0);
      EXPECT_EQ(accepted, drafted);  // it is its own draft
    }
  }
}

TEST_P(Batch, PlantedADifferentNeighbourIsNoExcuseForDifferentBits) {
  // The comparison above can fail: a request whose last token differs gives other logits.
  LanguageModel model = open(1);
  std::vector<BatchRequest> requests = make_requests(model);
  const Generation before = generate(model, requests[5].prompt, requests[5].options);
  requests[5].prompt.back() = requests[5].prompt.back() == 7 ? 8 : 7;
  EXPECT_NE(before.logits_hash, generate_batch(model, requests, {.batch = 4})[5].logits_hash);
}

INSTANTIATE_TEST_SUITE_P(All, Batch,
                         testing::Values(Case{"llama-rows256", Compute::kExact, {}},
                                         Case{"llama-rows256", Compute::kFast, {}},
                                         Case{"qwen3-rows256", Compute::kExact, {}},
                                         Case{"qwen3-rows256", Compute::kFast, {}},
                                         Case{"qwen3-rows256", Compute::kFast, KvFormat::kQ8},
                                         Case{"qwen3-rows256", Compute::kExact, KvFormat::kQ8}),
                         [](const auto& parameters) {
                           const Case& one = parameters.param;
                           return std::string(one.model).substr(0, 5) + "_" +
                                  std::string(compute_name(one.compute)) + (one.kv ? "_q8" : "");
                         });

TEST(BatchFaults, NothingRunsWhenOneRequestCannot) {
  LanguageModel model(test::source_file("tests/models/qwen3-rows256"), {.threads = 1});
  int done = 0;
  BatchOptions options{.batch = 2};
  options.on_done = [&](size_t, const Generation&) { ++done; };
  const std::vector<TokenId> prompt = {1, 2, 3};
  const auto refused = [&](BatchRequest bad) {
    const BatchRequest requests[] = {{.prompt = prompt}, std::move(bad)};
    EXPECT_THROW(generate_batch(model, requests, options), Error);
    EXPECT_EQ(done, 0);
  };
  refused({.prompt = {}});
  refused({.prompt = std::vector<TokenId>(1000, 1)});
  refused({.prompt = prompt, .options = {.context = 1 << 20}});
  refused({.prompt = prompt, .options = {.sampling = {.temperature = -1}}});
  refused({.prompt = prompt, .options = {.stop = {""}}});
}

}  // namespace
}  // namespace assay
