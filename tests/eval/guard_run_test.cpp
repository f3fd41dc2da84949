#include "eval/guard_run.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "cli/checkpoint.hpp"
#include "eval/guard_margins.hpp"
#include "eval/log_softmax.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// Says what it is told to; fails on request.
class Parrot : public Respondent {
 public:
  Answer answer(const Question& question, const DecodingOptions&) override {
    questions.push_back(question.raw);
    if (fail_from >= 0 && static_cast<int>(questions.size()) > fail_from) throw Error("out of words");
    return {.text = "Answers: \nRequest: harmful",
            .finish_reason = "stop",
            .prompt_tokens = 3,
            .answer_tokens = 2};
  }
  std::vector<std::string> questions;
  int fail_from = -1;
};

std::vector<GuardSet> sets(int rows) {
  GuardSet set{.name = "tools", .rows = {}};
  for (int i = 0; i < rows; ++i) {
    GuardRow row;
    row.id = std::to_string(i);
    row.instruction = kGuardInstruction;
    row.prompt = "What is tool " + std::to_string(i) + " for?";
    row.input = guard_input(row.prompt, std::nullopt);
    row.truth[GuardTask::kPromptHarm] = i % 2 == 0;
    set.rows.push_back(row);
  }
  return {set};
}

class Stores : public testing::Test {
 protected:
  std::string read() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  void write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::string error_of(const Json& identity) {
    try {
      GuardStore store(path_, identity);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  /// Answers `rows` rows into the store; how many questions were asked.
  size_t run(int rows, Parrot& parrot) {
    GuardStore store(path_, identity_);
    const auto all = sets(rows);
    run_guard(parrot, {.sets = all, .options = {}, .store = &store}, silent_progress());
    return parrot.questions.size();
  }
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "deep/run.jsonl";
  Json identity_ = {{"model", "m"}, {"settings", {{"max_tokens", 8}}}};
};

TEST_F(Stores, GoOnWhereTheyWereCutAnywhere) {
  Parrot whole;
  EXPECT_EQ(run(4, whole), 4U);
  const std::string bytes = read();
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), '\n'), 5);
  for (size_t cut = 0; cut <= bytes.size(); cut += 41) {
    write(bytes.substr(0, cut));
    Parrot rest;
    const auto done = std::count(bytes.begin(), bytes.begin() + static_cast<long>(cut), '\n');
    EXPECT_EQ(run(4, rest), 4U - static_cast<size_t>(std::max<long>(done - 1, 0))) << cut;
    const auto records = read_guard_records(path_);
    ASSERT_EQ(records.size(), 4U) << cut;
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(records[i].id, std::to_string(i));
  }
}

TEST_F(Stores, WhatLostPowerWroteIsCutOff) {
  Parrot first;
  run(2, first);
  const std::string bytes = read();
  write(bytes + std::string(40, '\0') + "\n");
  Parrot second;
  EXPECT_EQ(run(3, second), 1U);
  EXPECT_TRUE(read().starts_with(bytes));
}

TEST_F(Stores, AnotherRunIsRefusedByName) {
  Parrot parrot;
  run(2, parrot);
  const std::string before = read();
  Json other = identity_;
  other["settings"]["max_tokens"] = 9;
  EXPECT_NE(error_of(other).find("settings/max_tokens: 8, now 9"), std::string::npos) << error_of(other);
  other = identity_;
  other["model"] = "n";
  EXPECT_NE(error_of(other).find("model: \"m\", now \"n\""), std::string::npos);
  other = identity_;
  other["settings"]["prompt"] = "deploy";
  EXPECT_NE(error_of(other).find("settings/prompt: none, now \"deploy\""), std::string::npos);
  EXPECT_EQ(read(), before);
  EXPECT_EQ(error_of(identity_), "no error");
}

TEST_F(Stores, ForeignAndCorruptFilesStayAsTheyAre) {
  std::filesystem::create_directories(path_.parent_path());
  for (const std::string& text :
       {std::string("notes of mine"), std::string("{\"a\":1}\n{\"b\":2}\n"), std::string("x\ny\n")}) {
    write(text);
    EXPECT_NE(error_of(identity_), "no error") << text;
    EXPECT_EQ(read(), text);
  }
  std::filesystem::remove(path_);
  Parrot parrot;
  run(2, parrot);
  std::string bytes = read();
  bytes.replace(bytes.find("\"text\""), 6, "\"tixt\"");
  write(bytes);
  EXPECT_NE(error_of(identity_).find("run.jsonl:2: no stored answer"), std::string::npos)
      << error_of(identity_);
  EXPECT_EQ(read(), bytes);
}

TEST_F(Stores, TwoAtOnceAreRefused) {
  GuardStore store(path_, identity_);
  EXPECT_NE(error_of(identity_).find("in use"), std::string::npos);
}

TEST_F(Stores, FailuresAreKeptAndAskedAgain) {
  Parrot failing;
  failing.fail_from = 2;
  EXPECT_EQ(run(5, failing), 5U);
  const auto records = read_guard_records(path_);
  ASSERT_EQ(records.size(), 5U);
  EXPECT_EQ(records[2].error, "out of words");
  const auto outcomes = guard_outcomes(records, GuardParser::kOfficial);
  EXPECT_EQ(outcomes.size(), 5U);  // errors never drop rows
  EXPECT_TRUE(outcomes[4].failed);
  EXPECT_FALSE(outcomes[4].predicted);
  Parrot again;
  EXPECT_EQ(run(5, again), 3U);
  EXPECT_TRUE(read_guard_records(path_)[2].error.empty());
  Parrot dead;
  dead.fail_from = 0;
  const auto many = sets(40);
  EXPECT_THROW(run_guard(dead, {.sets = many}, silent_progress()), Error);
  EXPECT_EQ(dead.questions.size(), 20U);
}

TEST_F(Stores, PromptsAreRawAndLabelsMayChange) {
  Parrot parrot;
  run(1, parrot);
  EXPECT_EQ(parrot.questions[0],
            std::string(kGuardInstruction) + "\nHuman user:\nWhat is tool 0 for?\n\nAI assistant:\nNone\n\n");
  auto corrected = sets(1);
  corrected[0].rows[0].truth[GuardTask::kPromptHarm] = false;
  GuardStore store(path_, identity_);
  const auto records =
      run_guard(parrot, {.sets = corrected, .options = {}, .store = &store}, silent_progress());
  EXPECT_EQ(parrot.questions.size(), 1U);
  EXPECT_EQ(records[0].truth[GuardTask::kPromptHarm], GuardLabel(false));
}

class TinyModel : public testing::Test {
 protected:
  TinyModel() {
    test::copy_checkpoint(folder_ / "model");
    test::change_json(folder_ / "model/config.json",
                      [](auto& config) { config["max_position_embeddings"] = 1024; });
    model_.emplace(folder_ / "model", EngineOptions{.threads = 1, .compute = Compute::kExact});
  }
  test::TemporaryFolder folder_;
  std::optional<LanguageModel> model_;
};

TEST_F(TinyModel, MarginsAreThoseOfWholeTexts) {
  const std::string prompt = "fn main";
  const GuardMargins margins = measure_margins(*model_, prompt, true);
  std::string text = prompt + "Answers: \n";
  for (const GuardTask task : kGuardTasks) {
    constexpr const char* kFields[] = {"Request:", "Completion:", "Response:"};
    text += kFields[static_cast<size_t>(task)];
    double sums[2];
    std::vector<TokenId> ids[2];
    for (const bool positive : {false, true})
      ids[positive] = model_->tokenizer().encode(text + " " + std::string(guard_label_word(task, positive)));
    const auto from = static_cast<size_t>(
        std::mismatch(ids[0].begin(), ids[0].end(), ids[1].begin(), ids[1].end()).first - ids[0].begin());
    for (const bool positive : {false, true}) {
      // From scratch, nothing shared: what the shared prefix must not change.
      KvCache cache = model_->decoder().make_cache(static_cast<int64_t>(ids[positive].size()));
      std::vector<double> p;
      sums[positive] = 0;
      model_->decoder().forward_all(ids[positive], cache, [&](int64_t index, std::span<const float> logits) {
        const auto next = static_cast<size_t>(index) + 1;
        if (next < from || next >= ids[positive].size()) return;
        log_softmax(logits, p);
        sums[positive] += p[static_cast<size_t>(ids[positive][next])];
      });
    }
    const double margin = sums[1] - sums[0];
    EXPECT_NEAR(margins.by_task[static_cast<size_t>(task)], margin, 1e-9) << guard_task_name(task);
    text += " " + std::string(guard_label_word(task, margin > 0)) + "\n";
  }
}

TEST_F(TinyModel, APromptBeyondTheContextIsAnError) {
  std::string prompt;
  for (int i = 0; i < 600; ++i) prompt += "fn q" + std::to_string(i) + "\n";
  EXPECT_THROW(measure_margins(*model_, prompt, true), Error);
}

TEST_F(TinyModel, IdentityHoldsWhatMatters) {
  GuardOptions options;
  options.decoding.max_tokens = 3;
  const Json identity = guard_identity(*model_, options);
  EXPECT_EQ(identity, guard_identity(*model_, options));
  EXPECT_EQ(identity["model"]["weights_sha256"].get<std::string>().size(), 64U);
  options.decoding.max_tokens = 4;
  EXPECT_NE(identity, guard_identity(*model_, options));
  options.decoding.max_tokens = 3;
  options.prompt = GuardPrompt::kDeploy;
  EXPECT_NE(identity, guard_identity(*model_, options));
  options.prompt = GuardPrompt::kBenchmark;
  options.parser = GuardParser::kLegacy;  // reads what is stored, changes nothing that is
  EXPECT_EQ(identity, guard_identity(*model_, options));
}

}  // namespace
}  // namespace assay
