#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/answers.hpp"
#include "cli/options.hpp"
#include "cli/prompt.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "engine/prompt_cache.hpp"
#include "engine/stopwatch.hpp"

namespace assay {
namespace {

struct Options {
  std::string path, prompts_file;
  std::optional<std::string> prompt;
  int64_t samples = 1, batch = 1;
  bool json = false;
  std::string save_cache, load_cache;
  bool overwrite = false;
  std::string draft;
  int64_t draft_tokens = 8, lookup = 0;
  RunOptions run;
  PromptOptions prompting;
};

/// One prompt a line; a line that is a JSON string is unescaped, so that prompts can hold line breaks.
std::vector<std::string> read_prompts(const Options& options) {
  if (options.prompts_file.empty()) return {*options.prompt};
  const std::string text = read_text_file(expand_path(options.prompts_file));
  std::vector<std::string> prompts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    const auto json = nlohmann::json::parse(line, nullptr, false);
    prompts.push_back(json.is_string() ? json.get<std::string>() : line);
  }
  if (prompts.empty())
    throw Error({"no prompts", options.prompts_file, "one prompt a line", "an empty file", {}});
  return prompts;
}

/// What must be known before a model is opened.
void check_options(const Options& options, size_t results) {
  if (options.save_cache.empty()) return;
  if (results > 1) throw UsageError("--save-cache needs a single prompt and a single sample");
  const AtomicFile probe(expand_path(options.save_cache), options.overwrite);
}

std::vector<BatchRequest> make_requests(const Options& options, const LanguageModel& model,
                                        const std::vector<std::string>& prompts) {
  std::vector<BatchRequest> requests;
  for (const std::string& prompt : prompts)
    requests.push_back({.prompt = options.prompting.tokenize(model, prompt),
                        .options = options.prompting.generate,
                        .samples = options.samples});
  return requests;
}

/// The draft model where there is one, and what makes drafters.
struct Drafting {
  std::unique_ptr<LanguageModel> draft{};

  void set_up(const Options& options, const LanguageModel& model, BatchOptions& batch) {
    if (!options.draft.empty()) {
      draft = std::make_unique<LanguageModel>(expand_path(options.draft), options.run.engine());
      require_same_vocabulary(model, *draft);
      batch.make_drafter = [&] { return make_model_drafter(*draft, options.draft_tokens); };
    } else if (options.lookup > 0) {
      batch.make_drafter = [&] { return make_lookup_drafter(options.lookup); };
    }
  }
};

int run_generate(const Options& options) {
  if (options.prompt.has_value() == !options.prompts_file.empty())
    throw UsageError("give either -p TEXT or --prompts FILE");
  const std::vector<std::string> prompts = read_prompts(options);
  const size_t count = prompts.size() * static_cast<size_t>(options.samples);
  check_options(options, count);
  LanguageModel model(expand_path(options.path), options.run.engine());
  const std::vector<BatchRequest> requests = make_requests(options, model, prompts);
  BatchOptions batch{.batch = options.batch};
  Drafting drafting;
  drafting.set_up(options, model, batch);
  std::unique_ptr<CachedText> prefix, kept;
  if (!options.load_cache.empty()) {
    prefix = std::make_unique<CachedText>(load_prompt_cache(expand_path(options.load_cache), model));
    batch.prefix = prefix.get();
  }
  if (!options.save_cache.empty()) batch.keep = &kept;
  AnswerPrinter printer(prompts, options.samples, options.batch > 1, model);
  TerminalProgress progress;
  const bool bar = options.json && count > 1;
  if (!options.json) batch.on_text = [&](size_t index, std::string_view text) { printer.add(index, text); };
  batch.on_done = [&](size_t index, const Generation& result) {
    if (!options.json) printer.complete(index, result);
    if (bar) progress.advance(1);
  };
  if (bar) progress.begin("generate", count, " answers");
  const Stopwatch watch;
  const std::vector<Generation> results = generate_batch(model, requests, batch);
  const double seconds = watch.seconds();
  if (bar) progress.end();
  if (kept != nullptr) save_prompt_cache(expand_path(options.save_cache), *kept, model, options.overwrite);
  if (options.json) print_json(answers_json(results, seconds, options.batch, model));
  return 0;
}

void declare_cache_options(CLI::App& command, Options& options) {
  command.add_option("--save-cache", options.save_cache,
                     "write keys and values of prompt and answer to this file");
  command.add_option("--load-cache", options.load_cache,
                     "take up what prompts share with the text of such a file; answers stay the same");
  command.add_flag("--overwrite", options.overwrite, "replace the file of --save-cache");
}

void declare_draft_options(CLI::App& command, Options& options) {
  CLI::Option* draft =
      command.add_option("--draft", options.draft,
                         "smaller model with the same vocabulary that guesses ahead; answers stay the same");
  command.add_option("--draft-tokens", options.draft_tokens, "tokens that it guesses at most (default 8)")
      ->check(CLI::Range(1, 256))
      ->needs(draft);
  command
      .add_option("--lookup", options.lookup,
                  "guess so many tokens from what followed the same words before; answers stay the same")
      ->check(CLI::Range(1, 256))
      ->excludes(draft);
}

}  // namespace

RunVerb declare_generate(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("path", options->path, "checkpoint or MLX directory, or GGUF file")->required();
  command.add_option("-p,--prompt", options->prompt, "the prompt");
  command.add_option("--prompts", options->prompts_file,
                     "file of prompts, one a line (or a JSON string a line)");
  command.add_option("--batch", options->batch, "answers that are written side by side (default 1)")
      ->check(CLI::Range(1, 4096));
  command.add_option("--n", options->samples, "samples per prompt, with seeds seed, seed + 1, …")
      ->check(kCount);
  command.add_flag("--json", options->json, "print one JSON document");
  options->run.declare(command);
  options->run.declare_kv(command);
  options->prompting.declare(command);
  declare_cache_options(command, *options);
  declare_draft_options(command, *options);
  add_examples(
      command,
      "  assay generate out/mlx-4bit -p \"What is a trait?\"\n"
      "  assay generate model.gguf -p \"Once upon a time\" --no-chat-template --max-tokens 64 --json\n"
      "  assay generate model.gguf -p \"A name?\" --temp 0.8 --top-p 0.95 --seed 7 --n 3 --batch 3\n"
      "  assay generate model.gguf --prompts questions.txt --batch 16 --json\n"
      "  assay generate model.gguf -p \"$(cat book.txt)\" --save-cache book.kv --kv q8\n"
      "  assay generate large.gguf -p \"What is a trait?\" --draft small.gguf");
  return [options] { return run_generate(*options); };
}

}  // namespace assay
