// What the command line says when it is used wrongly, and that it says how to use it rightly.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using test::expect_one_line;
using test::Outcome;
using test::run_assay;

constexpr const char* kVerbs[] = {"quantize", "inspect", "verify",   "generate", "chat",   "embed",
                                  "classify", "bench",   "estimate", "eval",     "compare"};

class UsageTest : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source");
  const std::string out_ = folder_ / "out";
};

TEST(Help, EveryVerbShowsAnExample) {
  for (const std::string verb : kVerbs) {
    const Outcome outcome = run_assay({verb, "--help"});
    EXPECT_EQ(outcome.status, 0) << verb;
    EXPECT_EQ(outcome.err, "") << verb;
    EXPECT_NE(outcome.out.find("Examples:"), std::string::npos) << verb;
    EXPECT_NE(outcome.out.find("  assay " + verb + " "), std::string::npos) << outcome.out;
  }
}

TEST(Help, TheProgramListsItsVerbs) {
  const Outcome outcome = run_assay({"--help"});
  EXPECT_EQ(outcome.status, 0);
  for (const std::string verb : kVerbs) EXPECT_NE(outcome.out.find("\n  " + verb), std::string::npos) << verb;
  EXPECT_EQ(run_assay({"--version"}).status, 0);
}

TEST_F(UsageTest, WrongUsageExitsWithTwoAndWritesNothing) {
  const std::vector<std::vector<std::string>> cases = {
      {},
      {"quantize"},
      {"quantize", source_},
      {"quantize", source_, "--to"},
      {"quantize", source_, "--to", "mlx:4bit"},
      {"quantize", source_, "--to", "mlx:4bit", "gguf:Q8_0", "-o", out_},
      {"quantize", source_, "--to", "mlx:4bit", "-o", out_, "--recursive"},
      {"quantize", source_, "--to", "mlx:4bit,q4", "-o", out_},
      {"inspect"},
      {"inspect", source_, "--dump", "model.norm.weight"},
      {"inspect", source_, "--expect", "genuine"},
      {"verify", source_},
      {"generate", source_},
      {"generate", source_, "-p", "a", "--prompts", "b"},
      {"generate", source_, "-p", "a", "--compute", "slow"},
      {"generate", source_, "-p", "a", "--temp", "-1"},
      {"generate", source_, "-p", "a", "--temp", "nan"},
      {"generate", source_, "-p", "a", "--top-p", "7"},
      {"generate", source_, "-p", "a", "--stop", ""},
      {"generate", source_, "-p", "a", "--max-tokens", "0"},
      {"generate", source_, "-p", "a", "--max-tokens", "99999999999999999999"},
      {"bench"},
      {"estimate"},
      {"estimate", source_, "--ctx", "0"},
      {"estimate", source_, "--to", "mlx:4bits"},
      {"eval"},
      {"eval", "perplexity", source_},
      {"eval", "divergence", source_, "--text", "t"},
      {"eval", "logits", source_, "--ids", "1,two", "-o", out_},
      {"compare", source_},
      {"compare", source_, "--to", "mlx:4bit"},
  };
  for (const std::vector<std::string>& arguments : cases) {
    expect_one_line(arguments, 2, {});
  }
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(UsageTest, ImpossibleThreadCountsAreRefused) {
  for (const std::string count : {"0", "-1", "1025", "two", "1e9", ""}) {
    EXPECT_EQ(run_assay({"quantize", source_, "--to", "q8", "-o", out_, "--threads", count}).status, 2)
        << count;
    EXPECT_EQ(run_assay({"generate", source_, "-p", "a", "--threads", count}).status, 2) << count;
  }
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST(Verb, AMistypedOneNamesTheNearest) {
  expect_one_line({"quantise"}, 2, {"quantise", "did you mean quantize?"});
  expect_one_line({"generat"}, 2, {"did you mean generate?"});
  expect_one_line({"xyz"}, 2, {"xyz", "quantize inspect verify"});
}

TEST_F(UsageTest, AnUnknownRecipeNamesTheNearestAndStartsNothing) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"mlx:4bits", "mlx:4bit"},   {"gguf:q4_k_n", "gguf:Q4_K_"},  {"Q4_K_M", "gguf:Q4_K_M"},
      {"gguf:q8", "gguf:Q8_0"},    {"mlx:4bit-g63", "mlx:4bit-g"}, {"mlx:8bit,mlx:4bits", "mlx:4bit"},
      {"mlx:4bit,,q8", "no such"}, {"mlx:bf16-g64", "mlx:bf16"},
  };
  for (const auto& [given, nearest] : cases)
    expect_one_line({"quantize", source_, "--to", given, "-o", out_}, 2, {"no such recipe", nearest});
  // Before any work starts: not even the source is looked at.
  expect_one_line({"quantize", folder_ / "nowhere", "--to", "mlx:4bits", "-o", out_}, 2, {"did you mean"});
  expect_one_line({"quantize", source_, "--to", "mlx:mxfp4", "-o", out_}, 2,
                  {"not written yet", "mlx:mxfp4"});
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(UsageTest, RecipesAreReadAsPeopleTypeThem) {
  const Outcome outcome =
      test::expect_success({"quantize", source_, "--to", "Q8, GGUF:q8_0", "-o", out_, "--json"});
  const nlohmann::json outputs = outcome.json().at("outputs");
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].at("recipe"), "mlx:8bit");
  EXPECT_EQ(outputs[1].at("recipe"), "gguf:Q8_0");
}

}  // namespace
}  // namespace assay
