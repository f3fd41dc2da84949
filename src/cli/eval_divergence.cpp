#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/corpus_options.hpp"
#include "cli/eval_text.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "eval/divergence_measurements.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  std::string reference, compute = "both", kv;
  int threads = 0;
  bool json = false;
  CorpusOptions corpus;

  std::vector<Compute> computes() const {
    if (compute == "both") return {Compute::kExact, Compute::kFast};
    return {compute_from_name(compute)};
  }
  /// Of a candidate.
  EngineOptions engine(Compute mode) const {
    EngineOptions options{.threads = threads, .compute = mode};
    if (!kv.empty()) options.kv = kv_format_from_name(kv);
    return options;
  }
};

/// The models of a run. A file is opened once, however many arithmetics run it.
struct Candidates {
  struct Row {
    std::string path;
    Compute compute;
  };
  std::vector<std::unique_ptr<LanguageModel>> models{};
  std::vector<std::unique_ptr<Decoder>> decoders{};
  std::vector<DivergenceCandidate> running{};
  std::vector<Row> rows{};

  explicit Candidates(const Options& options) {
    const std::vector<Compute> computes = options.computes();
    for (const std::string& path : options.paths) {
      models.push_back(std::make_unique<LanguageModel>(expand_path(path), options.engine(computes.front())));
      running.push_back({.model = models.back().get()});
      rows.push_back({path, computes.front()});
      if (computes.size() == 1) continue;
      decoders.push_back(std::make_unique<Decoder>(models.back()->file(), options.engine(computes.back())));
      running.push_back({.model = models.back().get(), .decoder = decoders.back().get()});
      rows.push_back({path, computes.back()});
    }
  }
};

std::string show(const Estimate& estimate, int decimals) {
  const std::string value = fmt::format("{:.{}f}", estimate.value, decimals);
  if (!std::isfinite(estimate.low)) return value;
  return fmt::format("{} [{:.{}f}, {:.{}f}]", value, estimate.low, decimals, estimate.high, decimals);
}

Json curves_json(const DivergenceResult& result) {
  Json curves = Json::array();
  for (const DivergenceCurve& curve : result.curves) {
    Json points = Json::array();
    for (const DivergenceCurve::Point& point : curve.points) {
      Json one = to_json(point.y);
      one["x"] = point.x;
      one["label"] = point.label;
      one["tokens"] = point.tokens;
      points.push_back(std::move(one));
    }
    curves.push_back({{"metric", curve.metric},
                      {"by", curve.x_name},
                      {"unit", curve.unit},
                      {"interval", describe_interval(result, result.kl, curve.resamples)},
                      {"points", points}});
  }
  return curves;
}

Json result_json(const Candidates::Row& row, const DivergenceResult& r, const Corpus& corpus,
                 const Options& options) {
  Json metric = Json::object(), settings = divergence_settings(r, corpus, options.corpus.window_options(),
                                                               row.compute, Compute::kExact);
  for (const DivergenceFigure& figure : r.figures) {
    metric[figure.name] = to_json(figure.estimate);
    metric[figure.name]["interval"] = describe_interval(r, figure.estimate, figure.resamples);
  }
  settings["text"] = options.corpus.path;
  settings["kv"] = options.kv.empty() ? kv_format_name(default_kv_format(row.compute)) : options.kv;
  return {{"path", row.path},
          {"compute", compute_name(row.compute)},
          {"metric", metric},
          {"curves", curves_json(r)},
          {"tokens", r.tokens},
          {"seconds",
           {{"reference", r.reference_seconds},
            {"candidate", r.candidate_seconds},
            {"bookkeeping", r.bookkeeping_seconds}}},
          {"settings", settings}};
}

/// The statistics of one file, under the names that llama-perplexity prints where it has them.
void print_statistics(const Candidates& candidates, const std::vector<DivergenceResult>& results) {
  std::vector<std::string> header = {"statistic [95 %]"};
  for (const Candidates::Row& row : candidates.rows) header.emplace_back(compute_name(row.compute));
  Table table(header);
  for (size_t i = 0; i < results.front().figures.size(); ++i) {
    const DivergenceFigure& figure = results.front().figures[i];
    std::vector<std::string> cells = {figure.llama_name.empty() ? figure.name : figure.llama_name};
    for (const DivergenceResult& result : results) cells.push_back(show(result.figures[i].estimate, 6));
    table.add_row(cells);
  }
  fmt::print("\n{}", table.to_text());
}

void print_curve(const Candidates& candidates, const std::vector<DivergenceResult>& results, size_t which) {
  const DivergenceCurve& first = results.front().curves[which];
  std::vector<std::string> header = {first.x_name, "tokens"};
  for (const Candidates::Row& row : candidates.rows)
    header.push_back(fmt::format("{} {} [95 %]", first.metric, compute_name(row.compute)));
  Table table(header);
  for (size_t i = 0; i < first.points.size(); ++i) {
    std::vector<std::string> cells = {first.points[i].label, std::to_string(first.points[i].tokens)};
    for (const DivergenceResult& result : results) cells.push_back(show(result.curves[which].points[i].y, 5));
    table.add_row(cells);
  }
  fmt::print("\n{}", table.to_text());
}

void print_report(const Candidates& candidates, const std::vector<DivergenceResult>& results,
                  const Options& options) {
  const DivergenceResult& first = results.front();
  fmt::print(
      "reference {} in exact f32 arithmetic · corpus {} · {} positions scored in {} windows · intervals: 95 "
      "% "
      "bootstrap over {} {}\nexact: what the weights lost; fast: what runs by default\n\n",
      options.reference, options.corpus.path, first.tokens, first.windows, first.kl.n, first.cluster_unit);
  Table table({"file", "compute", "Mean KLD [95 %]", "Median KLD", "99.0% KLD", "Maximum KLD",
               "Same top p [95 %]", "Mean ln(PPL(Q)/PPL(base)) [95 %]"});
  for (size_t i = 0; i < results.size(); ++i) {
    const DivergenceResult& r = results[i];
    const auto plain = [&](const char* name) { return fmt::format("{:.5f}", r.figure(name).value); };
    table.add_row({candidates.rows[i].path, std::string(compute_name(candidates.rows[i].compute)),
                   show(r.kl, 5), plain("kl_median"), plain("kl_p99"), plain("kl_max"),
                   show(r.top1_agreement, 4), show(r.nll_difference, 4)});
  }
  fmt::print("{}", table.to_text());
  if (options.paths.size() > 1) return;
  print_statistics(candidates, results);
  for (size_t which = 0; which < first.curves.size(); which += 2) print_curve(candidates, results, which);
}

int run_divergence(const Options& options) {
  const Corpus corpus = options.corpus.read();
  TerminalProgress progress;
  LanguageModel reference(expand_path(options.reference),
                          {.threads = options.threads, .compute = Compute::kExact});
  const Candidates candidates(options);
  const std::vector<DivergenceResult> results =
      measure_divergences(reference, candidates.running, corpus, options.corpus.window_options(), progress);
  if (!options.json) {
    print_report(candidates, results, options);
    return 0;
  }
  Json rows = Json::array();
  for (size_t i = 0; i < results.size(); ++i)
    rows.push_back(result_json(candidates.rows[i], results[i], corpus, options));
  print_json({{"task", "divergence"},
              {"reference", options.reference},
              {"results", rows},
              {"peak_rss_bytes", peak_rss_bytes()}});
  return 0;
}

}  // namespace

RunVerb declare_eval_divergence(CLI::App& eval) {
  auto options = std::make_shared<Options>();
  CLI::App* task = eval.add_subcommand("divergence", "KL divergence and agreement with a reference");
  task->add_option("paths", options->paths, "model directories or GGUF files")->required();
  task->add_option("--reference", options->reference,
                   "what to compare with, usually the bf16 source; runs in exact f32 arithmetic")
      ->required();
  task->add_flag("--json", options->json, "print one JSON document");
  task->add_option("--threads", options->threads, "threads to run with (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  task->add_option("--compute", options->compute,
                   "of the candidates: exact (what the weights lost), fast (what runs by default) or both "
                   "(default)")
      ->check(CLI::IsMember({"exact", "fast", "both"}));
  task->add_option(
          "--kv", options->kv,
          "the candidates keep keys and values as f32, f16 or q8 (default: f32 where exact, f16 where "
          "fast); the reference always as f32")
      ->check(CLI::IsMember({"f32", "f16", "q8"}));
  options->corpus.declare(*task, "all");
  add_examples(
      *task,
      "  assay eval divergence out/mlx-4bit out/model-Q4_K_M.gguf --reference checkpoint --text heldout.txt\n"
      "  assay eval divergence model-Q4_K_M.gguf --reference checkpoint --corpus chats.jsonl --json\n"
      "  assay eval divergence q8.gguf --reference f16.gguf --text wiki.test.raw --score second-half");
  return [options] { return run_divergence(*options); };
}

}  // namespace assay
