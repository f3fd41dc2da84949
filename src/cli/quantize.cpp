#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/options.hpp"
#include "cli/quantize_batch.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "convert/convert.hpp"
#include "convert/tensor_overrides.hpp"
#include "eval/divergence.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string source, recipes, output, evaluate_text, embeddings, head, output_tensor, token_embedding,
      imatrix;
  std::vector<std::string> tensors;
  bool dry_run = false, overwrite = false, json = false, all_4bit = false;
  double target_mb = 0.0;
  int threads = 0;
  BatchFlags batch;
};

/// Reads --imatrix once for all recipes.
void add_importance(const std::string& path, std::vector<Recipe>& recipes) {
  const auto matrix = std::make_shared<const ImportanceMatrix>(ImportanceMatrix::read(expand_path(path)));
  for (Recipe& recipe : recipes) {
    if (!recipe.is_gguf() || !recipe.is_quantized())
      throw UsageError(Fault{"--imatrix belongs to quantized GGUF outputs", {}, {}, recipe.name, {}});
    recipe.matrix = matrix;
    recipe.importance = ImportanceFacts{matrix->file(), matrix->dataset(),
                                        static_cast<int64_t>(matrix->entries().size()), matrix->chunks()};
  }
}

/// The recipes as --tensor, --output-tensor, --token-embedding and --imatrix change them.
std::vector<Recipe> adjusted_recipes(const Options& options) {
  std::vector<Recipe> recipes = parse_recipes(options.recipes);
  std::vector<TensorOverride> overrides;
  for (const std::string& text : options.tensors) overrides.push_back(parse_tensor_override(text));
  for (Recipe& recipe : recipes)
    recipe = with_tensor_overrides(recipe, overrides, options.output_tensor, options.token_embedding);
  if (!options.imatrix.empty()) add_importance(options.imatrix, recipes);
  return recipes;
}

/// The recipes as --embeddings, --head and --all-4bit change them.
std::vector<Recipe> chosen_recipes(const Options& options) {
  std::vector<Recipe> recipes = adjusted_recipes(options);
  const std::string embeddings = options.all_4bit ? "int4" : options.embeddings;
  const std::string head = options.all_4bit ? "int4" : options.head;
  if (embeddings.empty() && head.empty()) return recipes;
  bool any = false;
  for (Recipe& recipe : recipes) {
    any = any || recipe.encoder.has_value();
    recipe = with_encoder_options(recipe, embeddings, head);
  }
  if (!any)
    throw UsageError(Fault{"--embeddings, --head and --all-4bit belong to recipes for encoders",
                           {},
                           "int8, int4 or int4-g32",
                           options.recipes,
                           {}});
  for (size_t i = 0; i < recipes.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (recipes[i].name == recipes[j].name)
        throw UsageError(Fault{"recipe is given twice", {}, {}, recipes[i].name, {}});
  return recipes;
}

bool meets_target(const Options& options, const Plan& plan) {
  return static_cast<double>(plan.weight_bytes) <= options.target_mb * 1e6;
}

/// "67.44 MB = 64.31 MiB, 8.058 bits per weight, 3.97x smaller than fp32, 1.99x than fp16".
std::string describe_size(const Options& options, const Plan& plan) {
  const auto bytes = static_cast<double>(plan.weight_bytes);
  std::string text = fmt::format(
      "{:.2f} MB = {:.2f} MiB, {:.4f} bits per weight, {:.2f}x smaller than fp32, {:.2f}x than fp16",
      bytes / 1e6, bytes / 0x1p20, plan.bits_per_weight(), plan.ratio_to(32), plan.ratio_to(16));
  if (options.target_mb > 0)
    text += meets_target(options, plan) ? fmt::format("; the target of {} MB is met", options.target_mb)
                                        : fmt::format("; the target of {} MB is missed by {:.2f} MB",
                                                      options.target_mb, bytes / 1e6 - options.target_mb);
  return text;
}

void add_target(const Options& options, const Plan& plan, Json& row) {
  if (options.target_mb <= 0) return;
  row["target_mb"] = options.target_mb;
  row["target_met"] = meets_target(options, plan);
}

void print_plan(const Options& options, const Plan& plan) {
  fmt::print("{} → {}\n\n", plan.recipe.name, plan.output_name);
  Table table({"tensor", "shape", "format", "bytes", "bits/weight", "why"});
  for (const PlannedTensor& tensor : plan.tensors)
    table.add_row({tensor.name, format_shape(tensor.slot.shape), format_name(tensor.format),
                   format_count(tensor.bytes), fmt::format("{:.4g}", tensor.bits_per_weight()),
                   tensor.reason});
  fmt::print("{}\n", table.to_text());
  for (const PlannedFile& file : plan.files) fmt::print("{}: {}\n", file.name, format_bytes(file.bytes));
  fmt::print("weights (total_size): {}\n", format_bytes(plan.weight_bytes));
  fmt::print("{} parameters: {}\n", format_count(plan.parameters), describe_size(options, plan));
  fmt::print("peak memory of the conversion (estimate): {}\n", format_bytes(plan.peak_memory_bytes));
  for (const std::string& note : plan.notes) fmt::print("note: {}\n", note);
  fmt::print("\n");
}

int run_dry(const Options& options, const ConversionSource& source, const std::vector<Recipe>& recipes) {
  Json outputs = Json::array();
  for (const Recipe& recipe : recipes) {
    const Plan plan = make_plan(source, recipe);
    if (!options.json) print_plan(options, plan);
    outputs.push_back(Json(plan_json(plan)));
    add_target(options, plan, outputs.back());
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

void print_outputs(const Options& options, const std::vector<ConvertedOutput>& outputs,
                   const Json& evaluations) {
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
    fmt::print("{}: weights {}\n", output.plan.recipe.name, describe_size(options, output.plan));
  for (const ConvertedOutput& output : outputs)
    for (const std::string& note : output.plan.notes)
      fmt::print("note: {}: {}\n", output.plan.recipe.name, note);
  fmt::print("peak memory: {}\n", format_bytes(peak_rss_bytes()));
}

int run_batch_of(const Options& options) {
  return run_quantize_batch(options.batch, {.checkpoints = options.source,
                                            .output = options.output,
                                            .recipe = options.recipes,
                                            .embeddings = options.all_4bit ? "int4" : options.embeddings,
                                            .head = options.all_4bit ? "int4" : options.head,
                                            .evaluate = options.evaluate_text,
                                            .dry_run = options.dry_run,
                                            .overwrite = options.overwrite,
                                            .json = options.json,
                                            .threads = options.threads});
}

int run_quantize(const Options& options) {
  if (!options.batch.config.empty()) return run_batch_of(options);
  if (options.source.empty()) throw UsageError("SOURCE is required, except with --config");
  if (options.recipes.empty()) throw UsageError("--to is required, except with --config");
  const std::vector<Recipe> recipes = chosen_recipes(options);
  if (options.output.empty() && !options.dry_run)
    throw UsageError("-o DIR is required, except with --dry-run");
  const ConversionSource source = ConversionSource::open(expand_path(options.source));
  if (options.dry_run) return run_dry(options, source, recipes);
  if (!options.evaluate_text.empty() && source.model().encoder)
    throw UsageError("--evaluate measures decoders; assay eval compares encoders");
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
    print_outputs(options, outputs, evaluations);
    return 0;
  }
  Json rows = Json::array();
  for (const ConvertedOutput& output : outputs) {
    rows.push_back({{"recipe", output.plan.recipe.name},
                    {"path", output.path.string()},
                    {"bytes", output.bytes()},
                    {"weight_bytes", output.plan.weight_bytes},
                    {"parameters", output.plan.parameters},
                    {"bits_per_weight", output.plan.bits_per_weight()},
                    {"ratio_fp32", output.plan.ratio_to(32)},
                    {"ratio_fp16", output.plan.ratio_to(16)},
                    {"seconds", output.seconds},
                    {"notes", output.plan.notes}});
    add_target(options, output.plan, rows.back());
  }
  Json document = {{"source", options.source}, {"outputs", rows}, {"peak_rss_bytes", peak_rss_bytes()}};
  if (!evaluations.empty()) document["evaluations"] = evaluations;
  print_json(document);
  return 0;
}

}  // namespace

RunVerb declare_quantize(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("source", options->source, "Hugging Face checkpoint directory");
  command.add_option("--to", options->recipes, "recipes, separated by commas");
  command.add_option("-o,--output,--output-dir", options->output, "directory for the outputs and assay.json");
  declare_batch_options(command, options->batch);
  command
      .add_option("--embeddings", options->embeddings,
                  "of encoders in int8 and int4 outputs: fp32, fp16, int8 (default) or int4")
      ->check(CLI::IsMember({"fp32", "fp16", "int8", "int4"}));
  command
      .add_option("--head", options->head, "pooler and classifier of encoders: fp32, int8 (default) or int4")
      ->check(CLI::IsMember({"fp32", "int8", "int4"}));
  command.add_flag("--all-4bit", options->all_4bit, "--embeddings int4 --head int4")
      ->excludes("--embeddings")
      ->excludes("--head");
  command
      .add_option("--tensor", options->tensors,
                  "PATTERN=FORMAT: a format of its own for every tensor in whose name the regular expression "
                  "is found, like ffn_down=Q6_K or v_proj=8bit-g32; the first pattern decides")
      ->allow_extra_args(false);
  command.add_option("--output-tensor", options->output_tensor,
                     "format of the output head, like Q8_0 or F16");
  command.add_option("--token-embedding", options->token_embedding, "format of the token embedding");
  command.add_option("--imatrix", options->imatrix,
                     "importance matrix of llama-imatrix (GGUF or .dat) for the searches of GGUF outputs");
  command
      .add_option("--target-mb", options->target_mb, "say whether the weights meet this many MB (10^6 bytes)")
      ->check(CLI::PositiveNumber);
  command.add_flag("--dry-run", options->dry_run, "print the plan, write nothing; needs config.json alone");
  command.add_flag("--overwrite", options->overwrite, "replace outputs that exist");
  command.add_option("--evaluate", options->evaluate_text,
                     "measure divergence from the source on this text; with --config: labelled texts, JSON "
                     "lines, for max_accuracy_drop");
  command.add_option("--threads", options->threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options->json, "print one JSON document");
  std::string names;
  for (const std::string& name : recipe_names()) names += (names.empty() ? "" : " ") + name;
  add_examples(command,
               "  assay quantize ./Llama-3.2-1B --to mlx:4bit,gguf:Q4_K_M -o out\n"
               "  assay quantize ./Qwen3-0.6B --to mlx:8bit-g32 -o out --evaluate heldout.txt\n"
               "  assay quantize ./Llama-3.2-1B --to gguf:Q4_K_M --dry-run --json\n"
               "  assay quantize ./distilbert-base-uncased-mnli --to int8,int4 -o out --target-mb 125\n"
               "  assay quantize ./all-MiniLM-L6-v2 --to int4-g32 --embeddings fp16 -o out\n"
               "  assay quantize ./checkpoints --config models.yaml --model all-MiniLM-L6-v2\n"
               "Recipes:\n  " +
                   names);
  return [options] { return run_quantize(*options); };
}

}  // namespace assay
