// The same text and the same last logits, bit for bit, for any thread count and instruction set.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;

class DeterminismTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  /// Null where this build or processor lacks the instruction set.
  json run(const std::string& path, const char* threads, const char* isa) {
    const test::Outcome outcome =
        test::run_assay({"generate", path, "-p", "the quick brown fox", "--max-tokens", "12", "--threads",
                         threads, "--compute", std::get<1>(GetParam()), "--json"},
                        {.environment = {{"ASSAY_ISA", isa}}});
    if (outcome.status == 0) return outcome.json();
    EXPECT_NE(outcome.err.find("ASSAY_ISA"), std::string::npos) << outcome.err;
    return {};
  }
};

TEST_P(DeterminismTest, ThreadsAndInstructionSetsChangeNothing) {
  const test::TemporaryFolder folder;
  const std::string source = test::copy_checkpoint(folder / "source", std::get<0>(GetParam()));
  std::vector<std::string> paths = {source};
  const json made = test::expect_success(
                        {"quantize", source, "--to", "gguf:Q4_K_M,mlx:4bit", "-o", folder / "out", "--json"})
                        .json();
  for (const json& output : made.at("outputs")) paths.push_back(output.at("path"));
  for (const std::string& path : paths) {
    const json expected = run(path, "1", "scalar");
    ASSERT_FALSE(expected.is_null());
    EXPECT_EQ(expected["threads"], 1);
    const std::pair<const char*, const char*> runs[] = {
        {"scalar", "2"},     {"scalar", "3"},     {"avx2", "1"},      {"avx2", "2"},
        {"avx512vnni", "1"}, {"avx512vnni", "2"}, {"avx512vnni", "3"}};
    for (const auto& [isa, threads] : runs) {
      const json found = run(path, threads, isa);
      if (found.is_null()) continue;
      EXPECT_EQ(found["logits_hash"], expected["logits_hash"]) << path << " " << isa << " " << threads;
      EXPECT_EQ(found["tokens"], expected["tokens"]) << path << " " << isa << " " << threads;
      EXPECT_EQ(found["text"], expected["text"]);
    }
  }
}

/// The hash can tell: another prompt gives another one.
TEST_P(DeterminismTest, AnotherPromptChangesTheHash) {
  const test::TemporaryFolder folder;
  const std::string source = test::copy_checkpoint(folder / "source", std::get<0>(GetParam()));
  const auto hash = [&](const char* prompt) {
    return test::expect_success({"generate", source, "-p", prompt, "--max-tokens", "2", "--compute",
                                 std::get<1>(GetParam()), "--json"})
        .json()["logits_hash"];
  };
  EXPECT_NE(hash("the quick brown fox"), hash("the quick brown dog"));
  EXPECT_EQ(hash("the quick brown fox"), hash("the quick brown fox"));
}

TEST_P(DeterminismTest, ASeedRepeatsItsSamples) {
  const test::TemporaryFolder folder;
  const std::string source = test::copy_checkpoint(folder / "source", std::get<0>(GetParam()));
  const auto tokens = [&](const char* seed) {
    return test::expect_success({"generate", source, "-p", "the", "--max-tokens", "12", "--temp", "1.5",
                                 "--seed", seed, "--compute", std::get<1>(GetParam()), "--json"})
        .json()["tokens"];
  };
  EXPECT_EQ(tokens("7"), tokens("7"));
  EXPECT_NE(tokens("7"), tokens("8"));
}

INSTANTIATE_TEST_SUITE_P(All, DeterminismTest,
                         testing::Combine(testing::Values("llama-rows256", "qwen3-rows256"),
                                          testing::Values("exact", "fast")),
                         [](const auto& parameters) {
                           return std::string(std::get<0>(parameters.param)).substr(0, 5) + "_" +
                                  std::get<1>(parameters.param);
                         });

}  // namespace
}  // namespace assay
