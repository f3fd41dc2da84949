// What generate and chat feed a model: through its chat template, or the texts as they are.
#include "cli/checkpoint.hpp"
#include "cli/process.hpp"

namespace assay {
namespace {

using test::expect_success;

class PromptTest : public testing::Test {
 protected:
  void set_template(const std::string& source) {
    test::change_json(folder_ / "model/tokenizer_config.json",
                      [&](auto& config) { config["chat_template"] = source; });
  }
  std::vector<std::string> generate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"generate", model_, "-p", "Once upon", "--max-tokens", "3"});
    return arguments;
  }
  test::Outcome chat(const std::string& input, std::vector<std::string> arguments) {
    test::write_file(folder_ / "input", input);
    arguments.insert(arguments.begin(), {"chat", model_, "--max-tokens", "3"});
    return test::run_assay(arguments, {.input = folder_ / "input"});
  }

  test::TemporaryFolder folder_;
  const std::string model_ = test::copy_checkpoint(folder_ / "model", "qwen3-rows256");
};

TEST_F(PromptTest, ChatWithoutATemplateContinuesTheWholeConversation) {
  const test::Outcome outcome = chat("Once upon\na time\n", {});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto answer = [&](const std::string& prompt) {
    return expect_success({"generate", model_, "-p", prompt, "--max-tokens", "3", "--json"})
        .json()["text"]
        .get<std::string>();
  };
  const std::string first = answer("Once upon");
  EXPECT_EQ(outcome.out, first + "\n" + answer("Once upon" + first + "\na time") + "\n");
}

TEST_F(PromptTest, OptionsThatOnlyATemplateCanCarryAreRefusedWithoutOne) {
  for (const std::vector<std::string>& option :
       {std::vector<std::string>{"--system", "Be brief."}, {"--thinking", "on"}}) {
    test::expect_one_line(generate(option), 2, {option[0], "needs a chat template", "without one"});
    set_template("{{ messages[-1].content }}");
    expect_success(generate(option));
    std::vector<std::string> both = option;
    both.emplace_back("--no-chat-template");
    test::expect_one_line(generate(both), 2, {option[0], "--no-chat-template"});
    test::change_json(folder_ / "model/tokenizer_config.json",
                      [](auto& config) { config.erase("chat_template"); });
  }
}

TEST_F(PromptTest, ABrokenTemplateStopsOnlyThoseWhoNeedIt) {
  const test::Outcome plain = expect_success(generate({}));
  set_template("{% if %}");
  const std::vector<std::string> parts = {"line 1"};
  test::expect_fault(generate({}), parts);
  EXPECT_EQ(expect_success(generate({"--no-chat-template"})).out, plain.out);
  expect_success({"bench", model_, "--prefill", "4", "--decode", "2", "--repeats", "1"});
}

}  // namespace
}  // namespace assay
