#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/eval_encoder.hpp"
#include "cli/eval_guard.hpp"
#include "cli/eval_judge.hpp"
#include "cli/eval_text.hpp"
#include "cli/options.hpp"
#include "cli/verb.hpp"
#include "engine/language_model.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  std::string output;
  std::vector<TokenId> ids;
  bool json = false, overwrite = false;
  RunOptions run;
};

/// Logits after every token as raw little-endian f32, [tokens, vocab_size]: what oracles compare with.
int run_logits(const Options& options) {
  if (options.paths.size() != 1) throw UsageError("eval logits takes one model");
  LanguageModel model(expand_path(options.paths.at(0)), options.run.engine());
  if (static_cast<int64_t>(options.ids.size()) > model.config().max_context)
    throw Error({"more ids than the model's context",
                 model.file().path().string(),
                 "at most " + std::to_string(model.config().max_context),
                 std::to_string(options.ids.size()),
                 {}});
  AtomicFile file(expand_path(options.output), options.overwrite);
  KvCache cache = model.decoder().make_cache(static_cast<int64_t>(options.ids.size()));
  model.decoder().forward_all(
      options.ids, cache, [&](int64_t, std::span<const float> logits) { file.write(std::as_bytes(logits)); });
  file.commit();
  const Json shape = {options.ids.size(), model.config().vocab_size};
  if (options.json) {
    print_json(
        {{"task", "logits"}, {"path", options.paths.at(0)}, {"output", options.output}, {"shape", shape}});
  } else {
    fmt::print("{}: {} f32 logits\n", options.output, shape.dump());
  }
  return 0;
}

}  // namespace

RunVerb declare_eval(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.require_subcommand(1);
  const RunVerb run_perplexity = declare_eval_perplexity(command);
  const CLI::App* perplexity = command.get_subcommand("perplexity");
  const RunVerb run_divergence = declare_eval_divergence(command);
  const CLI::App* divergence = command.get_subcommand("divergence");
  CLI::App* logits = command.add_subcommand("logits", "write raw logits of given token ids");
  logits->add_option("paths", options->paths, "a model directory or GGUF file")->required();
  logits->add_flag("--json", options->json, "print one JSON document");
  options->run.declare(*logits);
  logits->add_option("--ids", options->ids, "token ids, separated by commas")->delimiter(',')->required();
  logits->add_option("-o,--output", options->output, "file for [tokens, vocabulary] f32 values")->required();
  logits->add_flag("--overwrite", options->overwrite, "let -o replace a file that exists");
  const RunVerb run_encoder = declare_eval_encoder(command);
  const CLI::App* encoder = command.get_subcommand("encoder");
  const RunVerb run_guard = declare_eval_guard(command);
  const CLI::App* guard = command.get_subcommand("guard");
  const RunVerb run_judge = declare_eval_judge(command);
  const CLI::App* judge = command.get_subcommand("judge");
  add_examples(
      command,
      "  assay eval perplexity model.gguf --text wiki.test.raw --ctx 512\n"
      "  assay eval divergence out/mlx-4bit out/model-Q4_K_M.gguf --reference checkpoint --text heldout.txt\n"
      "  assay eval logits model.gguf --ids 1,15,7 --compute exact -o logits.f32");
  return [options, perplexity, run_perplexity, divergence, run_divergence, encoder, run_encoder, guard,
          run_guard, judge, run_judge] {
    if (encoder->parsed()) return run_encoder();
    if (guard->parsed()) return run_guard();
    if (judge->parsed()) return run_judge();
    if (perplexity->parsed()) return run_perplexity();
    if (divergence->parsed()) return run_divergence();
    return run_logits(*options);
  };
}

}  // namespace assay
