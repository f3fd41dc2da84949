#include "eval/guard_dataset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/error.hpp"
#include "eval/dataset_order.hpp"
#include "eval/guard_benchmarks.hpp"
#include "eval/guard_prompt.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

class GuardData : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  GuardSet read(const std::string& spec, const GuardFields& fields = {}) {
    return read_guard_set(spec, fields, folder_.path());
  }
  std::string error_of(const std::string& spec, const GuardFields& fields = {}) {
    try {
      read(spec, fields);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  test::TemporaryFolder folder_;
};

/// "+-+": true labels of a task by row, . for none.
std::string truth(const GuardSet& set, GuardTask task) {
  std::string out;
  for (const GuardLabel label : set.labels(task)) out += label ? (*label ? "+" : "-") : ".";
  return out;
}

TEST_F(GuardData, InstructionRowsKeepTheirBytes) {
  const std::string input = guard_input("What rusts?", "Iron.");
  const nlohmann::json rows = {
      {{"instruction", "Judge. \n"}, {"input", input}, {"output", "unharmful"}},
      {{"instruction", "Judge. \n"}, {"input", guard_input("b", {})}, {"output", "harmful"}}};
  const GuardSet set = read(write("mine.json", rows.dump()));
  EXPECT_EQ(set.name, "mine");
  EXPECT_EQ(set.rows[0].instruction, "Judge. \n");
  EXPECT_EQ(set.rows[0].input, input);
  EXPECT_EQ(set.rows[0].prompt, "What rusts?");
  EXPECT_EQ(truth(set, GuardTask::kResponseHarm), "-.");  // with an answer, the label is about the answer
  EXPECT_EQ(truth(set, GuardTask::kPromptHarm), ".+");
}

TEST_F(GuardData, AnswersFormAndRefusals) {
  const nlohmann::json rows = {
      {{"instruction", "J"},
       {"input", guard_input("a", "b")},
       {"output", "Answers: \nRequest: None\nCompletion: None\nResponse: harmful\n"}},
      {{"instruction", "J"}, {"input", guard_input("a", "c")}, {"output", "compliance"}}};
  const GuardSet set = read(write("x.json", rows.dump()));
  EXPECT_EQ(truth(set, GuardTask::kResponseHarm), "+.");
  EXPECT_EQ(truth(set, GuardTask::kRefusal), ".-");
}

TEST_F(GuardData, ThreeColumnsAndNulls) {
  const GuardSet set =
      read(write("wild.jsonl", R"({"prompt":"a","response":"b","prompt_harm_label":"unharmful",)"
                               R"("response_harm_label":"harmful","response_refusal_label":"compliance"})"
                               "\n"
                               R"({"prompt":"c","response":null,"prompt_harm_label":"harmful",)"
                               R"("response_harm_label":null,"response_refusal_label":null})"
                               "\n"));
  EXPECT_EQ(truth(set, GuardTask::kPromptHarm), "-+");
  EXPECT_EQ(truth(set, GuardTask::kRefusal), "-.");
  EXPECT_EQ(truth(set, GuardTask::kResponseHarm), "+.");
  EXPECT_EQ(set.rows[1].input, guard_input("c", {}));
  EXPECT_EQ(set.tasks().size(), 3U);
}

TEST_F(GuardData, OldSchemas) {
  EXPECT_EQ(
      truth(read(write("a.json", R"([{"text":"x","label":"harmless"},{"text":"y","label":"harmful"}])")),
            GuardTask::kPromptHarm),
      "-+");
  EXPECT_EQ(truth(read(write("b.json", R"([{"content":"x","labels":[],"source":"wildguardmix_benign"},)"
                                       R"({"content":"y","labels":["z"],"source":"wildguardmix_other"}])")),
                  GuardTask::kPromptHarm),
            "-+");
  EXPECT_EQ(truth(read(write("c.json", R"([{"prompt":"x","type":"homonyms","focus":"f"},)"
                                       R"({"prompt":"y","type":"contrast_homonyms","focus":"f"}])")),
                  GuardTask::kPromptHarm),
            "-+");
  EXPECT_EQ(truth(read(write("m.jsonl", "{\"prompt\":\"x\",\"S\":0,\"V\":1}\n{\"prompt\":\"y\",\"H\":0}\n")),
                  GuardTask::kPromptHarm),
            "+-");
  EXPECT_EQ(truth(read(write("t.csv", "text,label\n\"a, b\",1\nc,0\n")), GuardTask::kPromptHarm), "+-");
  write("harmful_things.json", R"({"prompts":["x","y"],"count":2})");
  write("harmless_things.json", R"({"prompts":["z"],"count":1})");
  const GuardSet pair = read("harmful_things+harmless_things");
  EXPECT_EQ(pair.name, "harmful_things+harmless_things");
  EXPECT_EQ(truth(pair, GuardTask::kPromptHarm), "++-");
  EXPECT_EQ(pair.rows[2].id, "2");
}

TEST_F(GuardData, AnyFileByKeyNames) {
  GuardFields fields{.prompt = "q", .response = "a", .label = "y"};
  const std::string path =
      write("own.jsonl", "{\"q\":\"x\",\"a\":\"one\u2028two\",\"y\":true,\"text\":\"no\"}\n");
  const GuardSet set = read(path, fields);
  EXPECT_EQ(set.rows[0].input, guard_input("x", "one\u2028two"));
  EXPECT_EQ(truth(set, GuardTask::kResponseHarm), "+");
  fields.task = GuardTask::kRefusal;
  EXPECT_EQ(truth(read(path, fields), GuardTask::kRefusal), "+");
  GuardFields constant{.prompt = "q", .response = {}, .label = {}, .constant_label = "safe"};
  EXPECT_EQ(truth(read(path, constant), GuardTask::kPromptHarm), "-");
}

TEST_F(GuardData, FaultsNameTheRow) {
  const std::string empty =
      write("e.jsonl", "{\"text\":\"x\",\"label\":\"safe\"}\n{\"text\":\" \\n\",\"label\":\"safe\"}\n");
  EXPECT_NE(error_of(empty).find("e.jsonl:2: an empty prompt"), std::string::npos) << error_of(empty);
  const std::string word = write("w.json", R"([{"text":"x","label":"safe"},{"text":"x","label":"maybe"}])");
  EXPECT_NE(error_of(word).find("w.json[1]: label"), std::string::npos) << error_of(word);
  EXPECT_NE(error_of(write("n.json", R"([{"body":"x","label":"safe"}])")).find("--prompt-field"),
            std::string::npos);
  EXPECT_NE(error_of(write("l.json", R"([{"text":"x"}])")).find("--label-field"), std::string::npos);
  EXPECT_NE(error_of(write("a.jsonl.gz", "x")).find("unpack it first"), std::string::npos);
  EXPECT_NE(error_of("nowhere").find("no such data set"), std::string::npos);
  EXPECT_NE(error_of("ToxicChat").find("0_8_toxic_chat.json"), std::string::npos);
  write("d1/same.json", "[]");
  write("d2/same.json", "[]");
  EXPECT_NE(error_of("same").find("several files"), std::string::npos);
}

TEST_F(GuardData, BenchmarksGoByEveryName) {
  write(
      "benchmark/0_A_beaver_tails.json",
      nlohmann::json{{{"instruction", "J"}, {"input", guard_input("a", "b")}, {"output", "harmful"}}}.dump());
  for (const char* name : {"BeaverTails", "0_A", "beaver_tails", "0_A_beaver_tails", "beavertails"})
    EXPECT_EQ(read(name).name, "BeaverTails") << name;
  EXPECT_EQ(guard_benchmarks().size(), 11U);
  EXPECT_EQ(guard_set_name("x/XSTestReponseHarmful/generated_predictions.jsonl"), "XSTestResponseHarmful");
  EXPECT_EQ(guard_set_name("x/openai_moderation.json"), "openai_moderation");  // the same texts, another form
  EXPECT_NEAR(published_guard_f1("WildGuardTest", GuardTask::kRefusal, "8B").value(), 0.8891, 1e-9);
  EXPECT_FALSE(published_guard_f1("ToxicChat", GuardTask::kRefusal, "8B"));
  EXPECT_FALSE(published_guard_f1("combined_test", GuardTask::kPromptHarm, "3B"));
}

std::vector<size_t> first(const std::vector<size_t>& order, size_t n) {
  return {order.begin(), order.begin() + static_cast<long>(n)};
}

TEST(RowOrder, IsCpythons) {
  // Python 3.11: random.seed(s); x = list(range(n)); random.shuffle(x); x[:8]
  using Ids = std::vector<size_t>;
  EXPECT_EQ(row_order(10, RowOrder::kCpython, 42), (Ids{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}));
  EXPECT_EQ(first(row_order(1554, RowOrder::kCpython, 42), 8),
            (Ids{386, 1395, 651, 1547, 965, 660, 945, 1392}));
  EXPECT_EQ(first(row_order(1000, RowOrder::kCpython, 0), 8), (Ids{439, 621, 160, 549, 237, 389, 658, 507}));
  EXPECT_EQ(first(row_order(1000, RowOrder::kCpython, 7), 8), (Ids{878, 857, 349, 313, 382, 850, 927, 194}));
  EXPECT_EQ(first(row_order(1000, RowOrder::kCpython, (uint64_t{1} << 40) + 3), 8),
            (Ids{656, 953, 635, 852, 589, 134, 745, 135}));
  EXPECT_EQ(row_order(3, RowOrder::kFile, 42), (Ids{0, 1, 2}));
  EXPECT_TRUE(row_order(0, RowOrder::kCpython, 42).empty());
}

TEST(RowOrder, OwnShuffleIsAPermutationBySeed) {
  std::vector<size_t> order = row_order(100, RowOrder::kShuffled, 1);
  EXPECT_EQ(order, row_order(100, RowOrder::kShuffled, 1));
  EXPECT_NE(order, row_order(100, RowOrder::kShuffled, 2));
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, row_order(100, RowOrder::kFile, 0));
}

TEST(RowOrder, CutsByNumberAndByClass) {
  const std::vector<size_t> order = {5, 4, 3, 2, 1, 0};
  const std::vector<GuardLabel> labels = {true, true, false, std::nullopt, true, false};
  EXPECT_EQ(cut_order(order, labels, 2, 0), (std::vector<size_t>{5, 4}));
  EXPECT_EQ(cut_order(order, labels, 0, 1), (std::vector<size_t>{5, 4}));
  EXPECT_EQ(cut_order(order, labels, 0, 2), (std::vector<size_t>{5, 4, 2, 1}));
  EXPECT_EQ(cut_order(order, labels, 3, 2), (std::vector<size_t>{5, 4, 2}));
  EXPECT_EQ(cut_order(order, labels, 0, 0).size(), 6U);
}

}  // namespace
}  // namespace assay
