#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>

#include "base/file.hpp"
#include "cli/options.hpp"
#include "cli/prompt.hpp"
#include "cli/verb.hpp"
#include "engine/batch.hpp"

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
  // Each turn repeats the conversation so far, whose keys and values are kept.
  std::unique_ptr<CachedText> kept;
  BatchOptions batch{.on_text = [](size_t, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }};
  if (has_fixed_positions(model)) batch.keep = &kept;
  std::vector<ChatMessage> messages = options.prompting.first_messages();
  std::string line;
  while ((terminal ? (fmt::print(stderr, "> "), 0) : 0), std::getline(std::cin, line) && !line.empty()) {
    messages.push_back({"user", line});
    const BatchRequest turn[] = {
        {.prompt = options.prompting.tokenize(model, messages), .options = options.prompting.generate}};
    const Generation answer = std::move(generate_batch(model, turn, batch).front());
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
  options->run.declare_kv(command);
  options->prompting.declare(command);
  add_examples(command,
               "  assay chat out/mlx-4bit\n"
               "  echo \"What is a crate?\" | assay chat model.gguf --system \"Answer briefly.\"");
  return [options] { return run_chat(*options); };
}

}  // namespace assay
