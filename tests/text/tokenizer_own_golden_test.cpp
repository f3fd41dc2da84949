#include <gtest/gtest.h>

#include "text/tokenizer_support.hpp"

/// Cases that Hugging Face's tokenizers library made for small vocabularies of our own
/// (tests/golden/tokenizers).
namespace assay::test {
namespace {

using nlohmann::json;

struct Tally {
  int checked = 0, wrong = 0;
  void add(bool same, const std::string& what) {
    ++checked;
    wrong += same ? 0 : 1;
    if (!same && wrong <= 5) notes += what + "\n";
  }
  std::string notes;
};

/// A text is compared when the key is there: Hugging Face 0.23 shows normalized special tokens in their
/// normalized form, which is left out of the cases.
void check_decoding(const Tokenizer& tokenizer, const json& entry, const char* ids_key, Tally& tally) {
  const Ids ids = entry.at(ids_key).get<Ids>();
  for (const bool skip : {true, false}) {
    const char* key = skip ? "decoded_without_special" : "decoded";
    if (!entry.contains(key)) continue;
    const std::string expected = entry.at(key).get<std::string>();
    tally.add(tokenizer.decode(ids, skip) == expected, "decode " + entry.dump());
    tally.add(decode_stream(tokenizer, ids, skip) == expected, "stream " + entry.dump());
  }
}

Tally check(const Tokenizer& tokenizer, const json& golden) {
  Tally tally;
  for (const json& entry : golden.at("cases")) {
    const std::string text = entry.at("text").get<std::string>();
    const Ids plain = entry.at("ids_without_special").get<Ids>();
    Ids whole = entry.at("ids").get<Ids>();
    // The one deliberate difference: a text that brings its own BOS gets no second one.
    if (whole.size() >= 2 && tokenizer.bos_id() && whole[0] == tokenizer.bos_id() && whole[1] == whole[0] &&
        plain.size() < whole.size())
      whole.erase(whole.begin());
    tally.add(encode_plain(tokenizer, text) == plain, "plain " + entry.dump());
    tally.add(tokenizer.encode(text) == whole, "whole " + entry.dump());
    check_decoding(tokenizer, entry, "ids", tally);
  }
  for (const json& entry : golden.at("decode")) check_decoding(tokenizer, entry, "ids", tally);
  return tally;
}

/// Takes something from the tokenizer without which the cases come out differently.
void damage(json& tokenizer) {
  json& model = tokenizer["model"];
  if (model.contains("merges")) {
    model["merges"].erase(model["merges"].begin(), model["merges"].begin() + 20);
  } else if (model["vocab"].is_array()) {
    for (json& entry : model["vocab"])
      if (entry[0].get<std::string>().size() > 1) entry[1] = -100.0;
  } else {
    tokenizer["normalizer"]["lowercase"] = false;
  }
}

class OwnGolden : public testing::TestWithParam<const char*> {};

TEST_P(OwnGolden, EqualsHuggingFace) {
  const auto folder = source_file(std::string("tests/golden/tokenizers/") + GetParam());
  const json golden = json::parse(read_file(folder / "cases.json"));
  const auto source = source_file(golden.at("tokenizer").get<std::string>());
  const Tally tally = check(Tokenizer::from_directory(source.parent_path()), golden);
  EXPECT_EQ(tally.wrong, 0) << tally.notes;
  EXPECT_GT(tally.checked, 100);

  json damaged = json::parse(read_file(source));
  damage(damaged);
  EXPECT_GT(check(load_json(damaged), golden).wrong, 0) << "a damaged tokenizer passes";
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, OwnGolden,
                         testing::Values("bert-style", "gpt2-style", "llama2-metaspace",
                                         "llama2-normalized-special", "llama2-prepend", "llama3-style",
                                         "roberta-style", "rust-prose-14M", "xlmr-style"),
                         [](const auto& golden) {
                           std::string name;
                           for (const char* c = golden.param; *c != 0; ++c) name += *c == '-' ? '_' : *c;
                           return name;
                         });

}  // namespace
}  // namespace assay::test
