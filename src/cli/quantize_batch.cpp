#include "cli/quantize_batch.hpp"

#include <fmt/format.h>

#include "base/file.hpp"
#include "cli/batch_accuracy.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

constexpr const char* kDefaultOutput = "models/mlx_converted_v2";

std::string target_cell(const BatchOutcome& outcome) {
  const std::optional<double> target = outcome.model.target_size_mb;
  return target ? fmt::format("{:g}", *target) : "-";
}

std::string ratio_cell(const BatchOutcome& outcome) {
  const std::optional<double> target = outcome.model.target_size_mb;
  return target ? fmt::format("{:.2f}x", outcome.weights_mb / *target) : "-";
}

void print_outcomes(const BatchConfig& config, const std::vector<BatchOutcome>& outcomes) {
  for (const std::string& warning : config.warnings) fmt::print("warning: {}\n", warning);
  Table table({"model", "recipe", "result", "weights MiB", "target", "size / target", "output"});
  for (const BatchOutcome& outcome : outcomes) {
    const bool failed = outcome.status == BatchStatus::kFailed;
    table.add_row({outcome.model.name, outcome.recipe, std::string(status_name(outcome.status)),
                   failed ? "-" : fmt::format("{:.2f}", outcome.weights_mb), target_cell(outcome),
                   failed ? "-" : ratio_cell(outcome), outcome.output.string()});
  }
  fmt::print("{}", table.to_text());
  for (const BatchOutcome& outcome : outcomes) {
    for (const std::string& note : outcome.notes) fmt::print("note: {}: {}\n", outcome.model.name, note);
    if (outcome.accuracy)
      fmt::print("{}: accuracy {:.4f}, of the checkpoint {:.4f}, over {} texts\n", outcome.model.name,
                 outcome.accuracy->candidate, outcome.accuracy->reference, outcome.accuracy->texts);
  }
}

/// One line on stderr for every entry that is not as it should be.
void print_faults(const std::vector<BatchOutcome>& outcomes) {
  for (const BatchOutcome& outcome : outcomes) {
    if (!outcome.error.empty()) fmt::print(stderr, "assay: {}: {}\n", outcome.model.name, outcome.error);
    for (const std::string& missed : outcome.missed)
      fmt::print(stderr, "assay: {}: {}\n", outcome.model.name, missed);
  }
}

nlohmann::ordered_json outcomes_json(const BatchConfig& config, const std::vector<BatchOutcome>& outcomes) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const BatchOutcome& outcome : outcomes) results.push_back(outcome_json(outcome));
  return {{"config", config.path.string()}, {"warnings", config.warnings}, {"results", std::move(results)}};
}

}  // namespace

void declare_batch_options(CLI::App& command, BatchFlags& flags) {
  command.add_option(
      "--config", flags.config,
      "convert the encoders that this models.yaml lists; SOURCE is then the folder of checkpoints");
  command.add_option("--model", flags.model, "with --config: the entry of this name alone")
      ->needs("--config");
  command.add_option("--bits", flags.bits, "with --config: 8 or 4, instead of what the entries say")
      ->check(CLI::IsMember({8, 4}))
      ->needs("--config");
  command.add_flag("--no-skip", flags.no_skip, "with --config: replace outputs that are complete already")
      ->needs("--config");
}

int run_quantize_batch(const BatchFlags& flags, const BatchQuantizeRequest& request) {
  const BatchConfig config = read_batch_config(expand_path(flags.config));
  BatchRunOptions options;
  options.output = expand_path(request.output.empty() ? kDefaultOutput : request.output);
  if (!request.checkpoints.empty()) options.checkpoints = expand_path(request.checkpoints);
  options.model = flags.model;
  options.bits = flags.bits;
  options.recipe = request.recipe;
  options.embeddings = request.embeddings;
  options.head = request.head;
  options.skip = !flags.no_skip && !request.overwrite;
  options.dry_run = request.dry_run;
  // Read before the work: a text that is missing should not cost a conversion.
  if (!request.evaluate.empty())
    options.measure_accuracy = accuracy_on(expand_path(request.evaluate), request.threads);
  TerminalProgress progress;
  ThreadPool pool(request.threads > 0 ? request.threads : count_physical_cores());
  const std::vector<BatchOutcome> outcomes = run_batch(config, options, pool, progress);
  if (request.json)
    print_json(outcomes_json(config, outcomes));
  else
    print_outcomes(config, outcomes);
  print_faults(outcomes);
  return std::all_of(outcomes.begin(), outcomes.end(), [](const BatchOutcome& o) { return o.ok(); }) ? 0 : 1;
}

}  // namespace assay
