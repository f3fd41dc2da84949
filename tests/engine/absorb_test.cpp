// A text run layer by layer gives the logits of the same text run chunk by chunk, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "engine/decoder.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

class Absorb : public testing::TestWithParam<std::tuple<const char*, Compute>> {
 protected:
  Decoder open(int threads) const {
    return {file_, {.threads = threads, .compute = std::get<1>(GetParam())}};
  }
  /// More tokens than a chunk of 512 holds.
  std::vector<TokenId> make_tokens(int64_t count) const {
    std::vector<TokenId> tokens;
    for (int64_t i = 0; i < count; ++i)
      tokens.push_back(static_cast<TokenId>((i * i * 7 + 3 * i + 1) % file_.config().vocab_size));
    return tokens;
  }

  const ModelFile file_ = ModelFile::open(test::source_file("tests/models") / std::get<0>(GetParam()));
};

TEST_P(Absorb, LogitsAreThoseOfChunks) {
  Decoder model = open(1), other = open(2);
  const std::vector<TokenId> tokens = make_tokens(700);
  KvCache cache = model.make_cache(700);
  std::vector<std::vector<float>> expected;
  model.forward_all(tokens, cache, [&](int64_t, std::span<const float> logits) {
    expected.emplace_back(logits.begin(), logits.end());
  });
  const auto width = static_cast<size_t>(model.config().vocab_size);
  const auto count_other = [&](std::span<const TokenId> given) {
    int64_t found = 0;
    other.absorb(given);
    for (int64_t first = 0; first < 700; first += 16) {
      const int64_t count = std::min<int64_t>(16, 700 - first);
      const auto logits = other.logits_of(first, count);
      for (int64_t i = 0; i < count; ++i)
        found += std::ranges::equal(logits.subspan(static_cast<size_t>(i) * width, width),
                                    expected[static_cast<size_t>(first + i)])
                     ? 0
                     : 1;
    }
    return found;
  };
  EXPECT_EQ(count_other(tokens), 0);
  std::vector<TokenId> planted = tokens;  // another token changes what follows it
  planted[650] = (planted[650] + 1) % static_cast<TokenId>(width);
  EXPECT_GE(count_other(planted), 1);
  EXPECT_THROW(other.absorb({}), Error);
}

INSTANTIATE_TEST_SUITE_P(All, Absorb,
                         testing::Combine(testing::Values("llama-gqa", "qwen3", "mistral-window",
                                                          "llama-rope-dynamic"),
                                          testing::Values(Compute::kExact, Compute::kFast)),
                         [](const auto& parameters) {
                           std::string name = std::get<0>(parameters.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name + "_" + std::string(compute_name(std::get<1>(parameters.param)));
                         });

}  // namespace
}  // namespace assay
