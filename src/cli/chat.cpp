#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>

#include "base/file.hpp"
#include "cli/options.hpp"
#include "cli/prompt.hpp"
#include "cli/verb.hpp"

namespace assay {
namespace {

struct Options {
  std::string path;
  RunOptions run;
  PromptOptions prompting;
};

int run_chat(const Options& options) {
  LanguageModel model(expand_path(options.path), options.run.engine());
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) fmt::print(stderr, "[empty line or Ctrl-D ends the chat]\n");
  std::vector<ChatMessage> messages = options.prompting.first_messages();
  std::string line;
  while ((terminal ? (fmt::print(stderr, "> "), 0) : 0), std::getline(std::cin, line) && !line.empty()) {
    messages.push_back({"user", line});
    const std::vector<TokenId> prompt = options.prompting.tokenize(model, messages);
    const Generation answer = generate(model, prompt, options.prompting.generate, [](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    });
    fmt::print("\n");
    std::fflush(stdout);
    messages.push_back({"assistant", answer.text});
  }
  return 0;
}

}  // namespace

RunVerb declare_chat(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("path", options->path, "checkpoint or MLX directory, or GGUF file")->required();
  options->run.declare(command);
  options->prompting.declare(command);
  add_examples(command,
               "  assay chat out/mlx-4bit\n"
               "  echo \"What is a crate?\" | assay chat model.gguf --system \"Answer briefly.\"");
  return [options] { return run_chat(*options); };
}

}  // namespace assay
