#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/eval_encoder.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "eval/divergence.hpp"
#include "eval/perplexity.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  std::string text, reference, output;
  std::vector<TokenId> ids;
  bool json = false, overwrite = false;
  RunOptions run;
  WindowOptions windows;
};

/// A figure without an interval.
Json figure_json(double value, int64_t n) {
  return {{"value", value}, {"low", nullptr}, {"high", nullptr}, {"n", n}};
}

std::string show(const Estimate& estimate, int decimals) {
  if (!std::isfinite(estimate.low))
    return fmt::format("{:.{}f} [one window: no interval]", estimate.value, decimals);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", estimate.value, decimals, estimate.low, decimals,
                     estimate.high, decimals);
}

Json settings(const Options& options) {
  return {{"text", options.text},
          {"context", options.windows.context},
          {"compute", options.run.compute},
          {"interval", "95 % bootstrap over windows, 2000 resamples, seed 0"}};
}

int run_perplexity(const Options& options) {
  const std::string text = read_text_file(expand_path(options.text));
  TerminalProgress progress;
  Json results = Json::array();
  Table table({"file", "perplexity", "± s.e.", "nll [95 %]", "tokens"});
  for (const std::string& path : options.paths) {
    LanguageModel model(expand_path(path), options.run.engine());
    const PerplexityResult r = measure_perplexity(model, text, options.windows, progress);
    Estimate perplexity{r.perplexity, std::exp(r.nll.low), std::exp(r.nll.high), r.nll.n};
    results.push_back({{"path", path},
                       {"metric",
                        {{"perplexity", to_json(perplexity)},
                         {"perplexity_se", figure_json(r.standard_error, r.tokens)},
                         {"nll", to_json(r.nll)}}},
                       {"tokens", r.tokens},
                       {"settings", settings(options)}});
    table.add_row({path, fmt::format("{:.4f}", r.perplexity), fmt::format("{:.4f}", r.standard_error),
                   show(r.nll, 4), std::to_string(r.tokens)});
  }
  if (options.json) {
    print_json({{"task", "perplexity"}, {"reference", nullptr}, {"results", results}});
  } else {
    fmt::print("{}", table.to_text());
  }
  return 0;
}

Json metrics_of(const DivergenceResult& r) {
  return {{"kl_mean", to_json(r.kl)},
          {"kl_median", figure_json(r.kl_median, r.tokens)},
          {"kl_p90", figure_json(r.kl_p90, r.tokens)},
          {"kl_p99", figure_json(r.kl_p99, r.tokens)},
          {"kl_p99.9", figure_json(r.kl_p999, r.tokens)},
          {"kl_max", figure_json(r.kl_max, r.tokens)},
          {"top1_agreement", to_json(r.top1_agreement)},
          {"top5_agreement", to_json(r.top5_agreement)},
          {"ln_ppl_ratio", to_json(r.nll_difference)},
          {"ppl_reference", figure_json(std::exp(r.nll_reference.value), r.tokens)},
          {"ppl_candidate", figure_json(std::exp(r.nll_candidate.value), r.tokens)},
          {"delta_p_mean", figure_json(r.delta_p_mean, r.tokens)},
          {"delta_p_rms", figure_json(r.delta_p_rms, r.tokens)}};
}

int run_divergence(const Options& options) {
  const std::string text = read_text_file(expand_path(options.text));
  TerminalProgress progress;
  LanguageModel reference(expand_path(options.reference), options.run.engine());
  Json results = Json::array();
  Table table({"file", "KL mean [95 %]", "median", "p99", "max", "top-1 same [95 %]", "ln PPL ratio [95 %]",
               "tokens"});
  for (const std::string& path : options.paths) {
    LanguageModel candidate(expand_path(path), options.run.engine());
    const DivergenceResult r = measure_divergence(reference, candidate, text, options.windows, progress);
    results.push_back(
        {{"path", path}, {"metric", metrics_of(r)}, {"tokens", r.tokens}, {"settings", settings(options)}});
    table.add_row({path, show(r.kl, 5), fmt::format("{:.5f}", r.kl_median), fmt::format("{:.4f}", r.kl_p99),
                   fmt::format("{:.3f}", r.kl_max), show(r.top1_agreement, 4), show(r.nll_difference, 4),
                   std::to_string(r.tokens)});
  }
  if (options.json) {
    print_json({{"task", "divergence"}, {"reference", options.reference}, {"results", results}});
  } else {
    fmt::print("reference {} · {} compute\n\n{}", options.reference, options.run.compute, table.to_text());
  }
  return 0;
}

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

CLI::App* declare_task(CLI::App& command, const std::string& name, const std::string& summary,
                       Options& options) {
  CLI::App* task = command.add_subcommand(name, summary);
  task->add_option("paths", options.paths, "model directories or GGUF files")->required();
  task->add_flag("--json", options.json, "print one JSON document");
  options.run.declare(*task);
  return task;
}

void declare_windows(CLI::App& task, Options& options) {
  task.add_option("--text", options.text, "text file to score")->required();
  task.add_option("--ctx", options.windows.context, "tokens per window (default 512)")
      ->check(CLI::Range(4, 1 << 20));
  task.add_option("--chunks", options.windows.max_windows, "windows at most (default: all)")->check(kCount);
}

}  // namespace

RunVerb declare_eval(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.require_subcommand(1);
  CLI::App* perplexity =
      declare_task(command, "perplexity", "perplexity as llama-perplexity computes it", *options);
  declare_windows(*perplexity, *options);
  CLI::App* divergence =
      declare_task(command, "divergence", "KL divergence and agreement with a reference", *options);
  divergence->add_option("--reference", options->reference, "what to compare with, usually the bf16 source")
      ->required();
  declare_windows(*divergence, *options);
  CLI::App* logits = declare_task(command, "logits", "write raw logits of given token ids", *options);
  logits->add_option("--ids", options->ids, "token ids, separated by commas")->delimiter(',')->required();
  logits->add_option("-o,--output", options->output, "file for [tokens, vocabulary] f32 values")->required();
  logits->add_flag("--overwrite", options->overwrite, "let -o replace a file that exists");
  const RunVerb run_encoder = declare_eval_encoder(command);
  const CLI::App* encoder = command.get_subcommand("encoder");
  add_examples(
      command,
      "  assay eval perplexity model.gguf --text wiki.test.raw --ctx 512\n"
      "  assay eval divergence out/mlx-4bit out/model-Q4_K_M.gguf --reference checkpoint --text heldout.txt\n"
      "  assay eval logits model.gguf --ids 1,15,7 --compute exact -o logits.f32");
  return [options, perplexity, divergence, encoder, run_encoder] {
    if (encoder->parsed()) return run_encoder();
    if (perplexity->parsed()) return run_perplexity(*options);
    if (divergence->parsed()) return run_divergence(*options);
    return run_logits(*options);
  };
}

}  // namespace assay
