#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "convert/convert.hpp"
#include "eval/divergence.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string source, recipes, output, evaluate_text;
  bool dry_run = false, overwrite = false, json = false;
  int threads = 0;
};

void print_plan(const Plan& plan) {
  fmt::print("{} → {}\n\n", plan.recipe.name, plan.output_name);
  Table table({"tensor", "shape", "format", "bytes", "bits/weight", "why"});
  for (const PlannedTensor& tensor : plan.tensors)
    table.add_row({tensor.name, format_shape(tensor.slot.shape), format_name(tensor.format),
                   format_count(tensor.bytes), fmt::format("{:.4g}", bits_per_weight(tensor.format)),
                   tensor.reason});
  fmt::print("{}\n", table.to_text());
  for (const PlannedFile& file : plan.files) fmt::print("{}: {}\n", file.name, format_bytes(file.bytes));
  fmt::print("weights (total_size): {}\n", format_bytes(plan.weight_bytes));
  fmt::print("{} parameters, {:.4f} bits per weight\n", format_count(plan.parameters),
             plan.bits_per_weight());
  fmt::print("peak memory of the conversion (estimate): {}\n", format_bytes(plan.peak_memory_bytes));
  for (const std::string& note : plan.notes) fmt::print("note: {}\n", note);
  fmt::print("\n");
}

int run_dry(const Options& options, const ConversionSource& source, const std::vector<Recipe>& recipes) {
  Json outputs = Json::array();
  for (const Recipe& recipe : recipes) {
    const Plan plan = make_plan(source, recipe);
    if (!options.json) print_plan(plan);
    outputs.push_back(Json(plan_json(plan)));
  }
  if (options.json)
    print_json({{"source", options.source},
                {"planned", true},
                {"outputs", outputs},
                {"peak_rss_bytes", peak_rss_bytes()}});
  return 0;
}

/// Divergence of every output from the source, which runs once.
Json evaluate(const Options& options, const std::string& text, const std::vector<ConvertedOutput>& outputs,
              Progress& progress) {
  const EngineOptions engine{.threads = options.threads, .compute = Compute::kExact};
  LanguageModel reference(expand_path(options.source), engine);
  std::vector<std::unique_ptr<LanguageModel>> models;
  std::vector<LanguageModel*> candidates;
  for (const ConvertedOutput& output : outputs) {
    models.push_back(std::make_unique<LanguageModel>(output.path, engine));
    candidates.push_back(models.back().get());
  }
  WindowOptions windows;
  windows.context = std::min(windows.context, reference.config().max_context);
  const std::vector<DivergenceResult> divergences =
      measure_divergences(reference, candidates, text, windows, progress);
  Json results = Json::array();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const DivergenceResult& r = divergences[i];
    results.push_back({{"recipe", outputs[i].plan.recipe.name},
                       {"compute", "exact"},
                       {"kl_mean", r.kl.value},
                       {"kl_low", r.kl.low},
                       {"kl_high", r.kl.high},
                       {"top1_agreement", r.top1_agreement.value},
                       {"tokens", r.tokens}});
  }
  return results;
}

void print_outputs(const std::vector<ConvertedOutput>& outputs, const Json& evaluations) {
  std::vector<std::string> header = {"recipe", "path", "bytes", "GB", "GiB", "bits/weight", "seconds"};
  if (!evaluations.empty()) header.insert(header.end(), {"KL (exact)", "top-1 same"});
  Table table(header);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ConvertedOutput& output = outputs[i];
    const auto bytes = static_cast<double>(output.bytes());
    std::vector<std::string> row = {output.plan.recipe.name,
                                    output.path.string(),
                                    format_count(output.bytes()),
                                    fmt::format("{:.3f}", bytes / 1e9),
                                    fmt::format("{:.3f}", bytes / 0x1p30),
                                    fmt::format("{:.4f}", output.plan.bits_per_weight()),
                                    fmt::format("{:.2f}", output.seconds)};
    if (!evaluations.empty())
      row.insert(row.end(), {fmt::format("{:.5f}", evaluations[i]["kl_mean"].get<double>()),
                             fmt::format("{:.4f}", evaluations[i]["top1_agreement"].get<double>())});
    table.add_row(std::move(row));
  }
  fmt::print("{}", table.to_text());
  for (const ConvertedOutput& output : outputs)
    for (const std::string& note : output.plan.notes)
      fmt::print("note: {}: {}\n", output.plan.recipe.name, note);
  fmt::print("peak memory: {}\n", format_bytes(peak_rss_bytes()));
}

int run_quantize(const Options& options) {
  const std::vector<Recipe> recipes = parse_recipes(options.recipes);
  if (options.output.empty() && !options.dry_run)
    throw UsageError("-o DIR is required, except with --dry-run");
  const ConversionSource source = ConversionSource::open(expand_path(options.source));
  if (options.dry_run) return run_dry(options, source, recipes);
  // Read before the work: a text that is missing should not cost a conversion.
  const std::string text =
      options.evaluate_text.empty() ? std::string() : read_text_file(expand_path(options.evaluate_text));
  TerminalProgress progress;
  ThreadPool pool(options.threads > 0 ? options.threads : count_physical_cores());
  const auto outputs =
      convert(source, recipes, expand_path(options.output), {.overwrite = options.overwrite}, pool, progress);
  const Json evaluations =
      options.evaluate_text.empty() ? Json::array() : evaluate(options, text, outputs, progress);
  if (!options.json) {
    print_outputs(outputs, evaluations);
    return 0;
  }
  Json rows = Json::array();
  for (const ConvertedOutput& output : outputs)
    rows.push_back({{"recipe", output.plan.recipe.name},
                    {"path", output.path.string()},
                    {"bytes", output.bytes()},
                    {"weight_bytes", output.plan.weight_bytes},
                    {"parameters", output.plan.parameters},
                    {"bits_per_weight", output.plan.bits_per_weight()},
                    {"seconds", output.seconds},
                    {"notes", output.plan.notes}});
  Json document = {{"source", options.source}, {"outputs", rows}, {"peak_rss_bytes", peak_rss_bytes()}};
  if (!evaluations.empty()) document["evaluations"] = evaluations;
  print_json(document);
  return 0;
}

}  // namespace

RunVerb declare_quantize(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("source", options->source, "Hugging Face checkpoint directory")->required();
  command.add_option("--to", options->recipes, "recipes, separated by commas")->required();
  command.add_option("-o,--output", options->output, "directory for the outputs and assay.json");
  command.add_flag("--dry-run", options->dry_run, "print the plan, write nothing; needs config.json alone");
  command.add_flag("--overwrite", options->overwrite, "replace outputs that exist");
  command.add_option("--evaluate", options->evaluate_text, "measure divergence from the source on this text");
  command.add_option("--threads", options->threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options->json, "print one JSON document");
  std::string names;
  for (const std::string& name : recipe_names()) names += (names.empty() ? "" : " ") + name;
  add_examples(command,
               "  assay quantize ./Llama-3.2-1B --to mlx:4bit,gguf:Q4_K_M -o out\n"
               "  assay quantize ./Qwen3-0.6B --to mlx:8bit-g32 -o out --evaluate heldout.txt\n"
               "  assay quantize ./Llama-3.2-1B --to gguf:Q4_K_M --dry-run --json\n"
               "Recipes:\n  " +
                   names);
  return [options] { return run_quantize(*options); };
}

}  // namespace assay
