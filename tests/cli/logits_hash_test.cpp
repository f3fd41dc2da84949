// The last logits of every format that assay writes, as hashes recorded in tests/golden/logits_hashes.json:
// no optimisation may change a bit of them. Recorded anew by
//   ASSAY_RECORD=1 test_cli --gtest_filter=LogitsHashes.*
// which only a deliberate change of the arithmetic or of a quantizer justifies.
#include <cstdlib>

#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

/// gguf: and mlx: recipes, as the help text lists them.
std::vector<std::string> written_recipes() {
  const std::string help = test::run_assay({"quantize", "--help"}).out;
  std::vector<std::string> recipes;
  for (size_t begin = help.find("Recipes:"); begin < help.size();) {
    begin = help.find_first_not_of(" \n", begin);
    const size_t end = std::min(help.find_first_of(" \n", begin), help.size());
    const std::string word = begin == std::string::npos ? "" : help.substr(begin, end - begin);
    if (word.starts_with("gguf:") || word.starts_with("mlx:")) recipes.push_back(word);
    begin = end;
  }
  return recipes;
}

/// FNV-1a of the second half of the weights' file: tensors alone, no metadata.
std::string hash_weights(const fs::path& output) {
  const std::string bytes = test::read_file(fs::is_directory(output) ? output / "model.safetensors" : output);
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = bytes.size() / 2; i < bytes.size(); ++i)
    hash = (hash ^ static_cast<uint8_t>(bytes[i])) * 0x100000001b3u;
  char text[17];
  std::snprintf(text, sizeof text, "%016lx", static_cast<unsigned long>(hash));
  return text;
}

/// Hash after a prompt long enough for panels of tokens, single tokens, and two sequences at once, which
/// bench holds to be equal.
std::string hash_logits_of(const std::string& path, const char* compute, const char* isa) {
  const test::Outcome outcome =
      test::run_assay({"bench", path, "--prefill", "37", "--decode", "3", "--batch", "2", "--repeats", "1",
                       "--threads", "2", "--compute", compute, "--skip-machine", "--json"},
                      {.environment = {{"ASSAY_ISA", isa}}});
  EXPECT_EQ(outcome.status, 0) << path << " " << outcome.err;
  return outcome.status == 0 ? outcome.json()["runs"][2]["logits_hash"].get<std::string>() : "";
}

TEST(LogitsHashes, OfEveryFormatAreTheRecordedOnes) {
  const fs::path golden = test::source_file("tests/golden/logits_hashes.json");
  const bool record = std::getenv("ASSAY_RECORD") != nullptr;
  const ordered_json expected = record ? ordered_json() : ordered_json::parse(test::read_file(golden));
  const test::TemporaryFolder folder;
  const std::string source = test::copy_checkpoint(folder / "source");
  ordered_json found;
  for (const std::string& recipe : written_recipes()) {
    const auto outcome =
        test::run_assay({"quantize", source, "--to", recipe, "-o", folder / "out", "--json"});
    ASSERT_EQ(outcome.status, 0) << recipe << outcome.err;
    const std::string path = outcome.json()["outputs"][0]["path"];
    found[recipe] = {{"weights", hash_weights(path)},
                     {"exact", hash_logits_of(path, "exact", "")},
                     {"fast", hash_logits_of(path, "fast", "")}};
    if (record) continue;
    ASSERT_TRUE(expected.contains(recipe)) << recipe << " is not recorded: see the head of this file";
    EXPECT_EQ(found[recipe]["weights"], expected[recipe]["weights"])
        << recipe << ": the quantizer writes other bytes, and so the logits cannot be compared";
    for (const char* compute : {"exact", "fast"})
      EXPECT_EQ(found[recipe][compute], expected[recipe][compute]) << recipe << " " << compute;
    EXPECT_EQ(hash_logits_of(path, "fast", "scalar"), expected[recipe]["fast"]) << recipe << " scalar";
  }
  EXPECT_GT(found.size(), 30u) << "the help text lists the recipes";
  if (record) test::write_file(golden, found.dump(2) + "\n");
}

TEST(LogitsHashes, TellFormatsAndArithmeticsApart) {
  const ordered_json recorded =
      ordered_json::parse(test::read_file(test::source_file("tests/golden/logits_hashes.json")));
  const auto hash = [&](const char* recipe, const char* compute) {
    return recorded[recipe][compute].get<std::string>();
  };
  EXPECT_NE(hash("gguf:Q4_0", "fast"), hash("gguf:Q4_1", "fast"));
  EXPECT_NE(hash("gguf:Q8_0", "fast"), hash("gguf:Q8_0", "exact"));
  EXPECT_NE(hash("mlx:4bit", "fast"), hash("mlx:4bit-g32", "fast"));
  EXPECT_EQ(hash("mlx:bf16", "fast"), hash("mlx:none", "fast")) << "two names of the same weights";
  EXPECT_EQ(hash("gguf:BF16", "exact"), hash("gguf:F32", "exact")) << "likewise in wider types";
  EXPECT_NE(hash("mlx:bf16", "exact"), hash("mlx:f16", "exact"));
}

}  // namespace
}  // namespace assay
