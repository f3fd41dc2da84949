// The bundled guard model, asked as anybody would ask it: models/guard-4M/README.md states its F1.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;

/// transformers, in float32, gives these verdicts on the first 24 held-out rows.
TEST(GuardModel, GivesTheVerdictsOfTransformers) {
  const std::string guard = std::string(ASSAY_SOURCE_DIR) + "/models/guard-4M";
  const json result = test::expect_success({"eval", "guard", guard, "--data", guard + "/heldout.jsonl",
                                            "--limit", "24", "--order", "file", "--max-tokens", "80",
                                            "--compute", "exact", "--threads", "2", "--json"})
                          .json()["results"][0];
  EXPECT_EQ(result["task"], "prompt-harm");
  EXPECT_EQ(result["rows"]["failed"], 0);
  EXPECT_EQ(result["confusion"]["counts-once"], (json{{"tp", 7}, {"fp", 1}, {"fn", 5}, {"tn", 11}}));
  EXPECT_EQ(result["metric"]["truncated_share"]["value"], 0.0);
}

}  // namespace
}  // namespace assay
