// Many prompts at once, samples, saved caches, guesses and formats of the KV cache, through the real binary.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using nlohmann::json;
using test::expect_fault;
using test::expect_one_line;
using test::expect_success;

class GenerateTest : public testing::Test {
 protected:
  json generate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"generate", source_, "--max-tokens", "9", "--json"});
    return expect_success(arguments).json();
  }

  std::string write_prompts(const std::vector<std::string>& prompts) const {
    std::string text;
    for (const std::string& prompt : prompts) text += json(prompt).dump() + "\n";
    test::write_file(folder_ / "prompts", text);
    return folder_ / "prompts";
  }

  static void expect_same(const json& expected, const json& found) {
    for (const char* key : {"text", "tokens", "logits_hash", "finish_reason", "prompt_tokens"})
      EXPECT_EQ(expected[key], found[key]) << key;
  }

  test::TemporaryFolder folder_;
  const std::string source_ = test::copy_checkpoint(folder_ / "source", "qwen3-rows256");
  const std::vector<std::string> prompts_ = {"Once upon a time", "the quick\nbrown fox", "a",
                                             "it was number seven that jumped", "over"};
};

TEST_F(GenerateTest, EachPromptOfABatchGetsItsOwnAnswer) {
  const std::string file = write_prompts(prompts_);
  for (const char* compute : {"exact", "fast"}) {
    std::vector<json> expected;
    for (const std::string& prompt : prompts_)
      expected.push_back(generate({"-p", prompt, "--compute", compute, "--threads", "1"}));
    for (const char* batch : {"1", "2", "16"})
      for (const char* threads : {"1", "2", "3"}) {
        const json found =
            generate({"--prompts", file, "--batch", batch, "--threads", threads, "--compute", compute});
        ASSERT_EQ(found["results"].size(), prompts_.size());
        EXPECT_GT(found["total_s"], 0.0);
        for (size_t i = 0; i < prompts_.size(); ++i) expect_same(expected[i], found["results"][i]);
      }
    EXPECT_NE(expected[0]["logits_hash"], expected[1]["logits_hash"]);
  }
}

TEST_F(GenerateTest, SamplesAreThoseOfTheirSeedsAndComputeThePromptOnce) {
  const std::vector<std::string> how = {"-p", "Once upon", "--temp", "1.5", "--seed"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), how.begin(), how.end());
    return generate(more);
  };
  for (const char* batch : {"1", "3", "8"}) {
    const json found = with({"5", "--n", "4", "--batch", batch})["results"];
    ASSERT_EQ(found.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      expect_same(with({std::to_string(5 + i)}), found[i]);
      EXPECT_EQ(found[i]["cached_tokens"], i == 0 ? json(0) : found[i]["prompt_tokens"]);
    }
    EXPECT_NE(found[0]["tokens"], found[1]["tokens"]);
  }
}

TEST_F(GenerateTest, TextsComeInTheOrderOfTheirPrompts) {
  const std::string file = write_prompts(prompts_);
  const auto text = [&](const char* batch) {
    return expect_success({"generate", source_, "--prompts", file, "--max-tokens", "5", "--batch", batch})
        .out;
  };
  const std::string one = text("1");
  size_t at = 0;
  for (const std::string& prompt : prompts_) {
    at = one.find("--- " + prompt + "\n", at);
    ASSERT_NE(at, std::string::npos) << prompt << "\n" << one;
  }
  EXPECT_EQ(one, text("3"));
}

TEST_F(GenerateTest, ASavedCacheChangesNoAnswerAndIsTakenUp) {
  const std::string cache = folder_ / "cache";
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--compute", "exact"}, {"--compute", "fast"}, {"--kv", "q8"}}) {
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.end(), how.begin(), how.end());
      return generate(more);
    };
    const json first = with({"-p", "Once upon a time", "--save-cache", cache, "--overwrite"});
    expect_same(with({"-p", "Once upon a time"}), first);
    for (const char* prompt : {"Once upon a time", "Once upon a time there was", "Once more", "the fox"}) {
      const json plain = with({"-p", prompt}), loaded = with({"-p", prompt, "--load-cache", cache});
      expect_same(plain, loaded);
      EXPECT_EQ(plain["cached_tokens"], 0);
      if (std::string(prompt).starts_with("Once upon")) {
        EXPECT_GT(loaded["cached_tokens"], 2) << prompt;
      }
    }
    const json batch = with({"--prompts", write_prompts(prompts_), "--batch", "3", "--load-cache", cache});
    for (size_t i = 0; i < prompts_.size(); ++i) expect_same(with({"-p", prompts_[i]}), batch["results"][i]);
  }
}

TEST_F(GenerateTest, DamagedAndForeignCachesAreRefused) {
  const std::string cache = folder_ / "cache";
  const std::vector<std::string> load = {"generate", source_, "-p", "Once", "--load-cache", cache};
  generate({"-p", "Once upon a time", "--save-cache", cache});
  const std::string whole = test::read_file(cache);
  expect_success(load);
  for (const size_t length : {size_t{0}, size_t{7}, size_t{20}, size_t{100}, whole.size() - 1}) {
    test::write_file(cache, whole.substr(0, length));
    expect_fault(load, {"cache", length < 8 ? "not a prompt cache" : "cut off"});
  }
  for (const size_t at : {size_t{17}, size_t{40}, whole.size() / 2, whole.size() - 70, whole.size() - 3}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    test::write_file(cache, damaged);
    expect_fault(load, {"cache", "damaged"});
  }
  test::write_file(cache, whole + "x");
  expect_fault(load, {"cache", "damaged"});
  test::write_file(cache, whole);
  const auto also = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = load;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  expect_fault(also({"--compute", "exact"}), {"another setting", "--compute exact", "--compute fast"});
  expect_fault(also({"--kv", "q8"}), {"another setting", "--kv q8", "--kv f16"});
  test::RawSafetensors weights = test::RawSafetensors::load(folder_ / "source/model.safetensors");
  weights.set("model.layers.0.mlp.up_proj.weight", 5, 0x3f80);
  weights.save(folder_ / "source/model.safetensors");
  expect_fault(load, {"belongs to another model"});
  expect_fault({"generate", source_, "-p", "x", "--load-cache", source_ + "/config.json"},
               {"not a prompt cache"});
}

TEST_F(GenerateTest, ACacheThatExistsIsNotOverwrittenAndSeveralAnswersHaveNone) {
  const std::string cache = folder_ / "cache";
  test::write_file(cache, "precious");
  expect_fault({"generate", source_, "-p", "x", "--save-cache", cache}, {"already exists", "--overwrite"});
  EXPECT_EQ(test::read_file(cache), "precious");
  expect_one_line({"generate", source_, "-p", "x", "--n", "2", "--save-cache", folder_ / "other"}, 2,
                  {"single"});
}

TEST_F(GenerateTest, GuessesChangeNoAnswer) {
  test::copy_checkpoint(folder_ / "draft", "qwen3-rows256");
  const std::string file = write_prompts(prompts_);
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--draft", folder_ / "draft"},
                                              {"--draft", folder_ / "draft", "--draft-tokens", "2"},
                                              {"--lookup", "4"},
                                              {"--lookup", "4", "--temp", "1.2", "--seed", "3"}}) {
    std::vector<std::string> plain = {"--prompts", file, "--batch", "2"}, guessing = plain;
    guessing.insert(guessing.end(), how.begin(), how.end());
    if (how.size() > 4) plain.insert(plain.end(), how.begin() + 2, how.end());
    const json expected = generate(plain), found = generate(guessing);
    int guessed = 0;
    for (size_t i = 0; i < prompts_.size(); ++i) {
      expect_same(expected["results"][i], found["results"][i]);
      const json& answer = found["results"][i];
      if (!answer.contains("draft")) continue;  // ended with its first token, or nothing stood there before
      ++guessed;
      if (how[0] == "--draft") {
        EXPECT_EQ(answer["draft"]["acceptance"], 1.0);  // the draft is the model itself
      }
    }
    EXPECT_GT(guessed, 0) << how[0];
  }
}

TEST_F(GenerateTest, ADraftOfAnotherVocabularyIsRefused) {
  test::copy_checkpoint(folder_ / "draft", "qwen3-rows256");
  std::string tokenizer = test::read_file(folder_ / "draft/tokenizer.json");
  const nlohmann::ordered_json vocabulary = nlohmann::ordered_json::parse(tokenizer)["model"]["vocab"];
  std::vector<std::pair<std::string, int>> plain;  // two ordinary letters trade their ids
  for (const auto& [piece, id] : vocabulary.items())
    if (piece == "q" || piece == "z") plain.emplace_back(piece, id.get<int>());
  ASSERT_EQ(plain.size(), 2u);
  test::change_json(folder_ / "draft/tokenizer.json", [&](auto& document) {
    document["model"]["vocab"][plain[0].first] = plain[1].second;
    document["model"]["vocab"][plain[1].first] = plain[0].second;
  });
  expect_fault({"generate", source_, "-p", "x", "--draft", folder_ / "draft"},
               {"another vocabulary", "draft"});
  expect_one_line({"generate", source_, "-p", "x", "--draft", source_, "--lookup", "3"}, 2, {"--lookup"});
}

TEST_F(GenerateTest, TheKvCacheTakesTheBytesOfItsFormat) {
  const auto bytes = [&](const char* kv) {
    const json found = generate({"-p", "Once upon", "--kv", kv});
    EXPECT_EQ(found["kv"], kv);
    return found["kv_bytes"].get<double>();
  };
  EXPECT_EQ(bytes("f32"), 2 * bytes("f16"));
  EXPECT_DOUBLE_EQ(bytes("q8") / bytes("f16"), 34.0 / 64.0);
  EXPECT_EQ(generate({"-p", "a"})["kv"], "f16");
  EXPECT_EQ(generate({"-p", "a", "--compute", "exact"})["kv"], "f32");
  expect_one_line({"generate", source_, "-p", "x", "--kv", "q4"}, 2, {"--kv", "q4"});
}

TEST_F(GenerateTest, WhatTheKvCacheCostsIsMeasuredAndF32CostsNothing) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "it was number " + std::to_string(i) + ". ";
  test::write_file(folder_ / "text", text);
  const auto divergence = [&](const char* kv) {
    const json document =
        expect_success({"eval", "divergence", source_, "--reference", source_, "--kv", kv, "--compute",
                        "exact", "--ctx", "64", "--text", folder_ / "text", "--json"})
            .json();
    EXPECT_EQ(document["results"][0]["settings"]["kv"], kv);
    return document["results"][0]["metric"]["kl_mean"]["value"].get<double>();
  };
  const double f16 = divergence("f16"), q8 = divergence("q8");
  EXPECT_EQ(divergence("f32"), 0.0);
  EXPECT_GT(f16, 0.0);
  EXPECT_GT(q8, f16);  // steps of 1/127 of a group's largest against 2^-11 of each number
  EXPECT_LT(q8, 1e-3);
  const auto perplexity = [&](const char* kv) {
    const json document = expect_success({"eval", "perplexity", source_, "--kv", kv, "--compute", "exact",
                                          "--ctx", "64", "--text", folder_ / "text", "--json"})
                              .json();
    EXPECT_EQ(document["results"][0]["settings"]["kv"], kv);
    return document["results"][0]["metric"]["perplexity"]["value"].get<double>();
  };
  EXPECT_NE(perplexity("f32"), perplexity("q8"));
}

TEST_F(GenerateTest, WhatCannotRunIsRefusedBeforeAnythingRuns) {
  std::string longest;
  for (int i = 0; i < 100; ++i) longest += "it was number " + std::to_string(i) + ". ";
  const std::string file = write_prompts({"Once", "upon", longest});
  for (const char* batch : {"1", "8"})
    expect_fault({"generate", source_, "--prompts", file, "--batch", batch},
                 {"prompt 3", "longer than the context", "at most 64"});
  expect_fault({"generate", source_, "-p", longest}, {"longer than the context", "at most 64"});
  expect_fault({"generate", source_, "--prompts", file, "--ctx", "100"}, {"at most 64", "found 100"});
  for (const char* count : {"0", "-1", "x", "5000"}) {
    expect_one_line({"generate", source_, "-p", "x", "--batch", count}, 2, {"--batch"});
    expect_one_line({"generate", source_, "-p", "x", "--threads", count}, 2, {"--threads"});
    expect_one_line({"chat", source_, "--threads", count}, 2, {"--threads"});
  }
  expect_one_line({"generate", source_, "-p", "x", "--n", "0"}, 2, {"--n"});
}

TEST_F(GenerateTest, CachesThatNoMemoryHoldsAreRefusedBeforeAnythingRuns) {
  test::change_json(folder_ / "source/config.json",
                    [](auto& config) { config["max_position_embeddings"] = int64_t{1} << 40; });
  const std::vector<std::string> parts = {"source", "does not fit into memory", "KV cache"};
  for (const char* option : {"--ctx", "--max-tokens"})
    expect_fault({"generate", source_, "-p", "x", option, "1000000000000"}, parts);
  test::write_file(folder_ / "input", "hello\n");
  expect_fault({"chat", source_, "--ctx", "1000000000000"}, parts, {.input = folder_ / "input"});
  // Four caches at once, each of positions for half the memory there is.
  const json one = generate({"-p", "x"});
  const uint64_t bytes =
      one["kv_bytes"].get<uint64_t>() / 10;  // of one position: 1 prompt and 9 answer tokens
  const std::string half =
      std::to_string((static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * 4096 / 2) / bytes);
  expect_fault({"generate", source_, "--prompts", write_prompts(prompts_), "--batch", "4", "--ctx", half},
               parts);
}

TEST_F(GenerateTest, ChatTakesUpTheConversationAndSaysTheSame) {
  test::write_file(folder_ / "input", "Once upon\na time\nthe fox\n");
  const auto chat = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"chat", source_, "--max-tokens", "4"});
    return expect_success(more, {.input = folder_ / "input"}).out;
  };
  std::string prompt, expected;
  for (const char* line : {"Once upon", "a time", "the fox"}) {
    prompt += line;
    const json answer =
        expect_success({"generate", source_, "-p", prompt, "--max-tokens", "4", "--kv", "q8", "--json"})
            .json();
    prompt += answer["text"].get<std::string>() + "\n";
    expected += answer["text"].get<std::string>() + "\n";
  }
  EXPECT_EQ(chat({"--kv", "q8"}), expected);
}

}  // namespace
}  // namespace assay
