#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/file.hpp"
#include "cli/corpus_options.hpp"
#include "cli/eval_text.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "eval/perplexity.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  bool json = false;
  RunOptions run;
  CorpusOptions corpus;
};

std::string show(const Estimate& estimate) {
  if (!std::isfinite(estimate.low)) return fmt::format("{:.4f} [one unit: no interval]", estimate.value);
  return fmt::format("{:.4f} [{:.4f}, {:.4f}]", estimate.value, estimate.low, estimate.high);
}

Json result_json(const std::string& path, const PerplexityResult& r, const Corpus& corpus,
                 const Options& options) {
  const Estimate perplexity{r.perplexity, std::exp(r.nll.low), std::exp(r.nll.high), r.nll.n};
  const bool all = options.corpus.window_options().scored == ScoredPositions::kAll;
  return {
      {"path", path},
      {"metric",
       {{"perplexity", to_json(perplexity)},
        {"perplexity_se",
         {{"value", r.standard_error}, {"low", nullptr}, {"high", nullptr}, {"n", r.tokens}}},
        {"nll", to_json(r.nll)}}},
      {"tokens", r.tokens},
      {"settings",
       {{"text", options.corpus.path},
        {"corpus_sha256", corpus.sha256},
        {"context", options.corpus.windows.context},
        {"compute", options.run.compute},
        {"kv", kv_format_name(options.run.engine().kv.value_or(
                   default_kv_format(compute_from_name(options.run.compute))))},
        {"scored", all ? "all positions" : "second half of every window"},
        {"interval", "95 % bootstrap over documents (windows of a single text), 2000 resamples, seed 0"}}}};
}

int run_perplexity(const Options& options) {
  const Corpus corpus = options.corpus.read();
  TerminalProgress progress;
  Json results = Json::array();
  Table table({"file", "perplexity", "± s.e.", "nll [95 %]", "tokens"});
  for (const std::string& path : options.paths) {
    LanguageModel model(expand_path(path), options.run.engine());
    const PerplexityResult r = measure_perplexity(model, corpus, options.corpus.window_options(), progress);
    results.push_back(result_json(path, r, corpus, options));
    table.add_row({path, fmt::format("{:.4f}", r.perplexity), fmt::format("{:.4f}", r.standard_error),
                   show(r.nll), std::to_string(r.tokens)});
  }
  if (options.json) {
    print_json({{"task", "perplexity"}, {"reference", nullptr}, {"results", results}});
  } else {
    fmt::print("{}", table.to_text());
  }
  return 0;
}

}  // namespace

RunVerb declare_eval_perplexity(CLI::App& eval) {
  auto options = std::make_shared<Options>();
  CLI::App* task = eval.add_subcommand("perplexity", "perplexity as llama-perplexity computes it");
  task->add_option("paths", options->paths, "model directories or GGUF files")->required();
  task->add_flag("--json", options->json, "print one JSON document");
  options->run.declare(*task);
  options->run.declare_kv(*task);
  options->corpus.declare(*task, "second-half");
  add_examples(*task,
               "  assay eval perplexity model.gguf --text wiki.test.raw --ctx 512\n"
               "  assay eval perplexity out/mlx-4bit --text chats.jsonl --score all");
  return [options] { return run_perplexity(*options); };
}

}  // namespace assay
