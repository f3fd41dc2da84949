// Models whose predictions mean different things are refused, each difference by its name.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "eval/divergence.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

class ComparableTest : public ::testing::Test {
 protected:
  ComparableTest() {
    std::filesystem::copy(test::source_file("tests/models/llama-rows256"), folder_ / "other",
                          std::filesystem::copy_options::recursive);
  }

  template <class Change>
  void edit(const char* name, const Change& change) {
    std::ifstream in(folder_ / "other" / name);
    Json json = Json::parse(in);
    in.close();
    change(json);
    std::ofstream(folder_ / "other" / name) << json.dump();
  }

  /// Rows of zeros at the end of the embedding, as converters pad vocabularies.
  void pad_vocabulary(int64_t rows) {
    const auto path = folder_ / "other/model.safetensors";
    std::ifstream in(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    in.close();
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    Json header = Json::parse(bytes.substr(8, length));
    const std::string data = bytes.substr(8 + length);
    std::string moved;
    for (auto& [name, tensor] : header.items()) {
      if (name == "__metadata__") continue;
      const auto begin = tensor["data_offsets"][0].get<size_t>(),
                 end = tensor["data_offsets"][1].get<size_t>();
      std::string content = data.substr(begin, end - begin);
      if (name == "model.embed_tokens.weight") {
        const auto old_rows = tensor["shape"][0].get<int64_t>();
        content.append(content.size() / static_cast<size_t>(old_rows) * static_cast<size_t>(rows), '\0');
        tensor["shape"][0] = old_rows + rows;
      }
      tensor["data_offsets"] = {moved.size(), moved.size() + content.size()};
      moved += content;
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    length = text.size();
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << text << moved;
    edit("config.json", [&](Json& json) { json["vocab_size"] = json["vocab_size"].get<int64_t>() + rows; });
  }

  /// What the comparison with the changed model says; empty where it goes through.
  std::string refusal() {
    const EngineOptions engine{.threads = 1, .compute = Compute::kExact};
    LanguageModel reference(test::source_file("tests/models/llama-rows256"), engine);
    LanguageModel other(folder_ / "other", engine);
    try {
      measure_divergence(reference, other,
                         "the king and the other said that it was in the town that the king", {.context = 8},
                         silent_progress());
      return {};
    } catch (const Error& error) {
      return error.what();
    }
  }

  test::TemporaryFolder folder_;
};

TEST_F(ComparableTest, AnUnchangedCopyIsComparable) {
  EXPECT_EQ("", refusal());
}

TEST_F(ComparableTest, RefusesAPaddedVocabulary) {
  pad_vocabulary(64);
  EXPECT_NE(std::string::npos, refusal().find("the vocabularies differ")) << refusal();
}

TEST_F(ComparableTest, RefusesAnotherBos) {
  edit("tokenizer.json", [](Json& json) { json["post_processor"] = nullptr; });
  edit("tokenizer_config.json", [](Json& json) { json["add_bos_token"] = false; });
  EXPECT_NE(std::string::npos, refusal().find("texts begin with another token (BOS)")) << refusal();
}

TEST_F(ComparableTest, RefusesExchangedTokens) {
  edit("tokenizer.json", [](Json& json) {
    for (auto& [piece, id] : json["model"]["vocab"].items())
      if (id == 380 || id == 381) id = 761 - id.get<int>();
  });
  EXPECT_NE(std::string::npos, refusal().find("the tokenizers differ")) << refusal();
}

TEST_F(ComparableTest, RefusesTheSameTokensMergedInAnotherOrder) {
  edit("tokenizer.json", [](Json& json) {
    Json& merges = json["model"]["merges"];
    merges = Json(std::vector<Json>(merges.rbegin(), merges.rend()));
  });
  EXPECT_NE(std::string::npos, refusal().find("token ids for this corpus")) << refusal();
}

}  // namespace
}  // namespace assay
