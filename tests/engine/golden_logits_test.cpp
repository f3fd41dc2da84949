// Every tiny checkpoint of tests/models against the float32 logits transformers gives for it.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/decoder.hpp"
#include "engine/generate.hpp"
#include "io/checkpoint.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;

std::vector<std::string> golden_cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(test::source_file("tests/models"))) {
    if (fs::exists(entry.path() / "golden.json")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Golden {
  std::vector<TokenId> ids;
  std::vector<std::vector<float>> logits;
};

Golden read_golden(const fs::path& folder) {
  const nlohmann::json json = read_json_file(folder / "golden.json");
  return {json.at("input_ids").get<std::vector<TokenId>>(),
          json.at("logits").get<std::vector<std::vector<float>>>()};
}

std::vector<std::vector<float>> run_all(const ModelFile& model, const std::vector<TokenId>& ids,
                                        const EngineOptions& options) {
  Decoder decoder(model, options);
  KvCache cache = decoder.make_cache(static_cast<int64_t>(ids.size()));
  std::vector<std::vector<float>> rows;
  decoder.forward_all(
      ids, cache, [&](int64_t, std::span<const float> row) { rows.emplace_back(row.begin(), row.end()); });
  return rows;
}

/// Largest difference relative to the root mean square of the golden logits.
double relative_difference(const std::vector<std::vector<float>>& ours,
                           const std::vector<std::vector<float>>& golden) {
  double largest = 0.0, squares = 0.0, count = 0.0;
  for (size_t t = 0; t < golden.size(); ++t) {
    for (size_t i = 0; i < golden[t].size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(ours[t][i]) - golden[t][i]));
      squares += static_cast<double>(golden[t][i]) * golden[t][i];
      count += 1.0;
    }
  }
  return largest / std::sqrt(squares / count);
}

/// Both sides round every product and sum to f32 (2^-24 relative each), in different orders. Two layers chain
/// about ten sums of at most 512 terms; random rounding grows with the square root of the terms:
/// 10 * sqrt(512) * 2^-24 = 1.3e-5 of the typical magnitude; large logits and softmax sharpening add a factor
/// of a few.
constexpr double kRoundingBound = 1e-4;

class GoldenLogits : public testing::TestWithParam<std::string> {};

TEST_P(GoldenLogits, ExactAgreesWithTransformers) {
  const fs::path folder = test::source_file("tests/models") / GetParam();
  const ModelFile model = ModelFile::open(folder);
  const Golden golden = read_golden(folder);
  const auto ours = run_all(model, golden.ids, {.threads = 2, .compute = Compute::kExact});
  ASSERT_EQ(golden.logits.size(), ours.size());
  ASSERT_EQ(golden.logits[0].size(), ours[0].size());
  const double difference = relative_difference(ours, golden.logits);
  RecordProperty("relative_difference", std::to_string(difference));
  EXPECT_LT(difference, kRoundingBound);
}

TEST_P(GoldenLogits, AreTheSameBitsForAnyThreadCountAndAnySplitOfTheTokens) {
  const fs::path folder = test::source_file("tests/models") / GetParam();
  const ModelFile model = ModelFile::open(folder);
  const Golden golden = read_golden(folder);
  const bool length_dependent = model.config().rope.scaling == RopeConfig::Scaling::kDynamicNtk;
  for (const Compute compute : {Compute::kExact, Compute::kFast}) {
    const auto expected = run_all(model, golden.ids, {.threads = 1, .compute = compute});
    for (const int threads : {2, 3, 5}) EXPECT_EQ(expected, run_all(model, golden.ids, {threads, compute}));
    if (length_dependent) continue;
    Decoder decoder(model, {.threads = 2, .compute = compute});
    KvCache cache = decoder.make_cache(static_cast<int64_t>(golden.ids.size()));
    for (size_t t = 0; t < golden.ids.size(); ++t) {
      const auto row = decoder.forward({&golden.ids[t], 1}, cache);
      ASSERT_EQ(expected[t], std::vector<float>(row.begin(), row.end())) << "token " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLogits, testing::ValuesIn(golden_cases()), [](const auto& case_info) {
  std::string name = case_info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(GoldenLogitsPlanted, AnIgnoredPropertyIsCaught) {
  // The comparison must notice each property of a model that a reader could overlook.
  const auto difference_with = [](const std::string& name, void (*break_config)(ModelConfig&)) {
    const fs::path folder = test::source_file("tests/models") / name;
    ModelFile model = ModelFile::open(folder);
    break_config(const_cast<ModelConfig&>(model.config()));
    const Golden golden = read_golden(folder);
    return relative_difference(run_all(model, golden.ids, {.threads = 1, .compute = Compute::kExact}),
                               golden.logits);
  };
  const auto no_scaling = [](ModelConfig& config) { config.rope.scaling = RopeConfig::Scaling::kNone; };
  for (const char* name : {"llama-rope-linear", "llama-rope-dynamic", "llama-rope-yarn", "llama-rope-llama3"})
    EXPECT_GT(difference_with(name, no_scaling), 10 * kRoundingBound) << name;
  EXPECT_GT(difference_with("mistral-window", [](ModelConfig& c) { c.sliding_window.clear(); }),
            10 * kRoundingBound);
  EXPECT_GT(difference_with("qwen2-window", [](ModelConfig& c) { c.sliding_window.clear(); }),
            10 * kRoundingBound);
  EXPECT_GT(difference_with("llama-gqa", [](ModelConfig& c) { c.rope.interleaved = true; }),
            10 * kRoundingBound);
  EXPECT_GT(difference_with("qwen3", [](ModelConfig& c) { c.norm_eps *= 1000; }), 10 * kRoundingBound);
}

}  // namespace
}  // namespace assay
