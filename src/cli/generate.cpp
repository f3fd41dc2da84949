#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/options.hpp"
#include "cli/prompt.hpp"
#include "cli/verb.hpp"

namespace assay {
namespace {

struct Options {
  std::string path, prompts_file;
  std::optional<std::string> prompt;
  int64_t samples = 1;
  bool json = false;
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

nlohmann::ordered_json to_json(const Generation& result, LanguageModel& model) {
  return {{"text", result.text},
          {"tokens", result.tokens},
          {"prompt_tokens", result.prompt_tokens},
          {"generated_tokens", result.tokens.size()},
          {"finish_reason", finish_reason_name(result.finish)},
          {"prefill_tok_s", result.prefill_tokens_per_second()},
          {"decode_tok_s", result.decode_tokens_per_second()},
          {"load_s", model.load_seconds()},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"logits_hash", fmt::format("{:016x}", result.logits_hash)},
          {"compute", compute_name(model.decoder().compute())},
          {"threads", model.decoder().threads()},
          {"kv_bytes", result.kv_bytes}};
}

void print_summary(const Generation& result, LanguageModel& model) {
  const double bytes_per_second =
      result.decode_tokens_per_second() * static_cast<double>(model.weight_bytes());
  fmt::print(stderr,
             "\n[{} prompt tokens at {:.1f} tok/s · {} generated at {:.1f} tok/s = {:.1f} GB/s of weights · "
             "{} · {} · "
             "{} threads · logits {:016x}]\n",
             result.prompt_tokens, result.prefill_tokens_per_second(), result.tokens.size(),
             result.decode_tokens_per_second(), bytes_per_second / 1e9, finish_reason_name(result.finish),
             compute_name(model.decoder().compute()), model.decoder().threads(), result.logits_hash);
}

int run_generate(const Options& options) {
  if (options.prompt.has_value() == !options.prompts_file.empty())
    throw UsageError("give either -p TEXT or --prompts FILE");
  const std::vector<std::string> prompts = read_prompts(options);
  LanguageModel model(expand_path(options.path), options.run.engine());
  const bool single = prompts.size() == 1 && options.samples == 1;
  const auto print_piece = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  double total = 0.0;
  for (const std::string& prompt : prompts) {
    const std::vector<TokenId> ids = options.prompting.tokenize(model, prompt);
    for (int64_t sample = 0; sample < options.samples; ++sample) {
      GenerateOptions generate_options = options.prompting.generate;
      generate_options.sampling.seed += static_cast<uint64_t>(sample);
      if (!options.json && !single) fmt::print("--- {}\n", prompt);
      const Generation result = options.json ? generate(model, ids, generate_options)
                                             : generate(model, ids, generate_options, print_piece);
      total += result.prefill_seconds + result.decode_seconds;
      if (options.json) {
        results.push_back(to_json(result, model));
      } else {
        fmt::print("\n");
        std::fflush(stdout);
        print_summary(result, model);
      }
    }
  }
  if (options.json)
    print_json(single ? results[0] : nlohmann::ordered_json{{"results", results}, {"total_s", total}});
  return 0;
}

}  // namespace

RunVerb declare_generate(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("path", options->path, "checkpoint or MLX directory, or GGUF file")->required();
  command.add_option("-p,--prompt", options->prompt, "the prompt");
  command.add_option("--prompts", options->prompts_file,
                     "file of prompts, one a line (or a JSON string a line)");
  command.add_option("--n", options->samples, "samples per prompt, with seeds seed, seed + 1, …")
      ->check(kCount);
  command.add_flag("--json", options->json, "print one JSON document");
  options->run.declare(command);
  options->prompting.declare(command);
  add_examples(
      command,
      "  assay generate out/mlx-4bit -p \"What is a trait?\"\n"
      "  assay generate model.gguf -p \"Once upon a time\" --no-chat-template --max-tokens 64 --json\n"
      "  assay generate model.gguf -p \"A name?\" --temp 0.8 --top-p 0.95 --seed 7 --n 3");
  return [options] { return run_generate(*options); };
}

}  // namespace assay
