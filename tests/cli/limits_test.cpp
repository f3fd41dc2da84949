// What a run is refused for before any work is done or after the answer is complete.
#include <algorithm>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using test::expect_fault;
using test::expect_success;

class LimitsTest : public testing::Test {
 protected:
  nlohmann::json generate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"generate", source_, "-p", "Once upon", "--json"});
    return expect_success(arguments).json();
  }

  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source", "qwen3-rows256");
  const std::string out_ = folder_ / "out";
};

TEST_F(LimitsTest, AStopTextAcrossTokensEndsTheAnswerBeforeIt) {
  const nlohmann::json whole = generate({"--max-tokens", "12"});
  const std::string text = whole["text"];
  EXPECT_EQ(whole["finish_reason"], "length");
  for (size_t begin = 1; begin + 3 <= text.size(); ++begin) {
    const std::string stop = text.substr(begin, 3);
    const auto plain = [](char c) { return c >= ' ' && c <= '~'; };
    if (!std::all_of(stop.begin(), stop.end(), plain)) continue;
    const nlohmann::json stopped = generate({"--max-tokens", "12", "--stop=" + stop});
    EXPECT_EQ(stopped["text"], text.substr(0, text.find(stop)));
    EXPECT_EQ(stopped["finish_reason"], "stop");
  }
}

TEST_F(LimitsTest, AnEndIdEndsTheAnswer) {
  const nlohmann::json whole = generate({"--max-tokens", "3"});
  ASSERT_EQ(whole["tokens"].size(), 3u);
  test::change_json(folder_ / "source/config.json",
                    [&](auto& config) { config["eos_token_id"] = whole["tokens"][0].get<int64_t>(); });
  const nlohmann::json ended = generate({"--max-tokens", "3"});
  EXPECT_EQ(ended["tokens"].size(), 1u);
  EXPECT_EQ(ended["text"], "");
  EXPECT_EQ(ended["finish_reason"], "stop");
}

TEST_F(LimitsTest, AFullContextEndsTheAnswerAndAContextBeyondTheModelIsRefused) {
  const nlohmann::json whole = generate({"--max-tokens", "1"});
  const int64_t prompt = whole["prompt_tokens"];
  const nlohmann::json full = generate({"--max-tokens", "20", "--ctx", std::to_string(prompt + 2)});
  EXPECT_EQ(full["finish_reason"], "length");
  EXPECT_EQ(full["tokens"].size(), 3u);  // the last one needs no position
  expect_fault({"generate", source_, "-p", "x", "--ctx", "65"}, {"at most 64", "found 65"});
}

TEST_F(LimitsTest, EvalRefusesWindowsBeyondTheModelsContext) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "it was number " + std::to_string(i) + ". ";
  test::write_file(folder_ / "text", text);
  const std::vector<std::string> parts = {"context", "at most 64", "found 65", "--ctx"};
  expect_fault({"eval", "perplexity", source_, "--text", folder_ / "text", "--ctx", "65"}, parts);
  expect_fault(
      {"eval", "divergence", source_, "--reference", source_, "--text", folder_ / "text", "--ctx", "65"},
      parts);
  expect_fault(
      {"compare", source_, "--to", "mlx:4bit", "-o", out_, "--text", folder_ / "text", "--ctx", "65"}, parts);
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(LimitsTest, AMissingTextStopsQuantizeBeforeAnythingIsWritten) {
  expect_fault({"quantize", source_, "--to", "mlx:4bit", "-o", out_, "--evaluate", folder_ / "nowhere"},
               {"nowhere"});
  EXPECT_FALSE(std::filesystem::exists(out_));
}

}  // namespace
}  // namespace assay
