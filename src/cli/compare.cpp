#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/options.hpp"
#include "cli/prompt.hpp"
#include "cli/subprocess.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "convert/convert.hpp"
#include "convert/inspect.hpp"
#include "convert/verify.hpp"
#include "eval/divergence.hpp"
#include "eval/speed.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Options {
  std::string source, recipes, output, text;
  std::vector<std::string> paths, prompts;
  bool json = false, overwrite = false;
  int threads = 0;
  int64_t max_tokens = 48;
  WindowOptions windows{.context = 0};  ///< 0: 256, or all of a shorter context
  SpeedOptions speed{.prefill_tokens = 128, .decode_tokens = 64, .repeats = 3};
};

/// The options with windows and timings that the model's context has room for.
Options fit_context(Options options, int64_t limit, const std::string& where) {
  if (options.windows.context > limit)
    throw Error({"the windows are longer than the model's context", where, "at most " + std::to_string(limit),
                 std::to_string(options.windows.context), "a smaller --ctx fits"});
  if (options.windows.context == 0) options.windows.context = std::min<int64_t>(256, limit);
  options.speed.prefill_tokens = std::max<int64_t>(1, std::min(options.speed.prefill_tokens, limit / 2));
  options.speed.decode_tokens = std::min(options.speed.decode_tokens, std::max<int64_t>(1, limit / 2));
  return options;
}

/// One file or directory of the comparison and what was found out about it.
struct Contestant {
  std::string label;
  fs::path path;
  bool is_output = false;  ///< made from the source, so it can be verified against it
  Inspection inspection{};
  std::optional<Verification> verification{};
  std::optional<DivergenceResult> exact{}, fast{};
  Json bench{};
  std::vector<std::string> answers{};
};

/// Makes the outputs that are missing, or all with --overwrite; one that is there and in the manifest is else
/// used as it is.
std::vector<Contestant> build_outputs(const Options& options, const ConversionSource& source,
                                      ThreadPool& pool, Progress& progress) {
  std::vector<Contestant> contestants;
  std::vector<Recipe> missing;
  const fs::path folder = expand_path(options.output);
  for (const Recipe& recipe :
       options.recipes.empty() ? std::vector<Recipe>{} : parse_recipes(options.recipes)) {
    const fs::path path = folder / make_plan(source, recipe).output_name;
    if (options.overwrite || !fs::exists(path) || find_manifest_entry(path).is_null())
      missing.push_back(recipe);
    contestants.push_back({.label = recipe.name, .path = path, .is_output = true});
  }
  if (!missing.empty()) convert(source, missing, folder, {.overwrite = options.overwrite}, pool, progress);
  for (const std::string& path : options.paths)
    contestants.push_back({.label = path, .path = expand_path(path)});
  return contestants;
}

std::vector<std::string> bench_arguments(const Contestant& contestant, const Options& options) {
  std::vector<std::string> arguments = {"bench", contestant.path.string(), "--json"};
  const std::pair<const char*, int64_t> settings[] = {{"--prefill", options.speed.prefill_tokens},
                                                      {"--decode", options.speed.decode_tokens},
                                                      {"--repeats", options.speed.repeats}};
  for (const auto& [name, value] : settings) arguments.insert(arguments.end(), {name, std::to_string(value)});
  if (options.threads > 0) arguments.insert(arguments.end(), {"--threads", std::to_string(options.threads)});
  return arguments;
}

/// Both columns measure against the same thing: the source's weights in exact arithmetic.
void measure_contestants(std::vector<Contestant>& contestants, const std::string& text,
                         const Options& options, Progress& progress) {
  if (options.text.empty()) return;
  LanguageModel reference(expand_path(options.source),
                          {.threads = options.threads, .compute = Compute::kExact});
  std::vector<std::unique_ptr<LanguageModel>> models;
  std::vector<LanguageModel*> candidates;
  for (const Compute compute : {Compute::kExact, Compute::kFast}) {
    for (const Contestant& contestant : contestants) {
      const EngineOptions engine{.threads = options.threads, .compute = compute};
      models.push_back(std::make_unique<LanguageModel>(contestant.path, engine));
      candidates.push_back(models.back().get());
    }
  }
  const auto results = measure_divergences(reference, candidates, text, options.windows, progress);
  for (size_t i = 0; i < contestants.size(); ++i) {
    contestants[i].exact = results[i];
    contestants[i].fast = results[contestants.size() + i];
  }
}

void continue_prompts(std::vector<Contestant>& contestants, const Options& options) {
  for (Contestant& contestant : contestants) {
    LanguageModel model(contestant.path, {.threads = options.threads});
    PromptOptions prompting;
    prompting.no_chat_template = true;
    prompting.generate.max_tokens = options.max_tokens;
    for (const std::string& prompt : options.prompts)
      contestant.answers.push_back(
          generate(model, prompting.tokenize(model, prompt), prompting.generate).text);
  }
}

std::string verdict_text(const Contestant& contestant) {
  std::string text(verdict_name(contestant.inspection.verdict));
  if (contestant.verification) text += contestant.verification->ok() ? ", proven" : ", NOT PROVEN";
  return text;
}

std::string with_interval(const std::optional<DivergenceResult>& result) {
  if (!result) return "-";
  if (!std::isfinite(result->kl.low)) return fmt::format("{:.5f}", result->kl.value);
  return fmt::format("{:.5f} [{:.5f}, {:.5f}]", result->kl.value, result->kl.low, result->kl.high);
}

const Json& bench_run(const Contestant& contestant, std::string_view test) {
  for (const Json& run : contestant.bench["runs"])
    if (run["test"].get<std::string>().starts_with(test)) return run;
  throw Error("bench gave no such test");
}

void print_comparison(const std::vector<Contestant>& contestants, const Options& options) {
  Table table({"recipe", "bytes", "bits/weight", "verdict", "KL exact [95 %]", "KL fast", "top-1 same",
               "decode tok/s", "peak memory MB"});
  for (const Contestant& c : contestants)
    table.add_row({c.label, format_count(c.inspection.bytes),
                   fmt::format("{:.3f}", c.inspection.bits_per_weight()), verdict_text(c),
                   with_interval(c.exact), c.fast ? fmt::format("{:.5f}", c.fast->kl.value) : "-",
                   c.exact ? fmt::format("{:.2f} %", 100 * c.exact->top1_agreement.value) : "-",
                   fmt::format("{:.0f}", bench_run(c, "decode")["median"].get<double>()),
                   fmt::format("{:.1f}", bench_run(c, "decode")["peak_rss_bytes"].get<double>() / 1e6)});
  fmt::print("\n{}\n", table.to_text());
  if (contestants.front().exact)
    fmt::print(
        "KL(source ‖ row) in nats per token over {} tokens in {} windows of {}, full vocabulary; 95 % "
        "bootstrap over "
        "windows.\n\"exact\" is what the weights lost, \"fast\" what the default integer arithmetic gives; "
        "top-1 in "
        "exact.\n",
        format_count(static_cast<uint64_t>(contestants.front().exact->tokens)),
        contestants.front().exact->windows, options.windows.context);
  fmt::print(
      "Decode: median of {} runs of {} tokens, each file in a process of its own, whose peak memory is the "
      "last "
      "column.\n",
      options.speed.repeats, options.speed.decode_tokens);
  for (size_t i = 0; i < options.prompts.size(); ++i) {
    fmt::print("\n\"{}\" continued greedily:\n", options.prompts[i]);
    for (const Contestant& c : contestants) fmt::print("  {:>14}  {}\n", c.label, Json(c.answers[i]).dump());
  }
}

Json contestant_json(const Contestant& c) {
  Json row = {{"label", c.label},
              {"path", c.path.string()},
              {"bytes", c.inspection.bytes},
              {"bits_per_weight", c.inspection.bits_per_weight()},
              {"verdict", verdict_name(c.inspection.verdict)},
              {"proven", c.verification ? Json(c.verification->ok()) : Json()}};
  if (c.exact) row["kl_exact"] = to_json(c.exact->kl), row["top1_exact"] = to_json(c.exact->top1_agreement);
  if (c.fast) row["kl_fast"] = to_json(c.fast->kl), row["top1_fast"] = to_json(c.fast->top1_agreement);
  row["bench"] = c.bench["runs"];
  row["answers"] = c.answers;
  return row;
}

Json report_json(const std::vector<Contestant>& contestants, const Options& options) {
  Json rows = Json::array();
  for (const Contestant& contestant : contestants) rows.push_back(contestant_json(contestant));
  return {{"source", options.source},
          {"text", options.text},
          {"context", options.windows.context},
          {"machine", contestants.front().bench["machine"]},
          {"rows", rows}};
}

/// The latest comparison of a folder stands beside its outputs.
void write_report(const Json& report, const fs::path& path) {
  fs::create_directories(path.parent_path());
  AtomicFile file(path, true);
  file.write(json_text(report));
  file.commit();
}

int run_compare(const Options& given) {
  if (!given.recipes.empty() && given.output.empty()) throw UsageError("--to needs -o DIR for the outputs");
  if (given.recipes.empty() && given.paths.empty())
    throw UsageError("give --to RECIPES, existing files, or both");
  const ConversionSource source = ConversionSource::open(expand_path(given.source));
  if (source.model().encoder)
    throw Error({"an encoder writes no text", given.source, "a language model", source.model().architecture,
                 "to measure an encoder: assay eval encoder OUTPUT --reference " + given.source});
  const Options options = fit_context(given, source.model().max_context, given.source);
  // Read before the work: a text that is missing should not cost a conversion.
  const std::string text = options.text.empty() ? std::string() : read_text_file(expand_path(options.text));
  TerminalProgress progress;
  std::vector<Contestant> contestants = {{.label = "source", .path = expand_path(options.source)}};
  {
    ThreadPool pool(options.threads > 0 ? options.threads : count_physical_cores());
    for (Contestant& made : build_outputs(options, source, pool, progress))
      contestants.push_back(std::move(made));
    for (Contestant& contestant : contestants) {
      contestant.inspection = inspect_path(contestant.path);
      if (contestant.is_output)
        contestant.verification = verify_output(contestant.path, expand_path(options.source), pool, progress);
    }
  }
  measure_contestants(contestants, text, options, progress);
  progress.begin("bench", contestants.size(), "file");
  for (Contestant& contestant : contestants) {
    contestant.bench = Json::parse(run_self(bench_arguments(contestant, options)));
    progress.advance(1);
  }
  progress.end();
  continue_prompts(contestants, options);
  const Json report = report_json(contestants, options);
  if (!options.output.empty()) write_report(report, expand_path(options.output) / "report.json");
  if (options.json) {
    print_json(report);
  } else {
    print_comparison(contestants, options);
  }
  for (const Contestant& contestant : contestants)
    if (contestant.verification && !contestant.verification->ok())
      throw Error({"not proven", contestant.path.string(), {}, {}, "see assay verify"});
  return 0;
}

}  // namespace

RunVerb declare_compare(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("source", options->source, "the unquantized checkpoint everything is compared with")
      ->required();
  command.add_option("paths", options->paths, "existing MLX directories or GGUF files to compare as well");
  command.add_option("--to", options->recipes, "recipes to build, separated by commas");
  command.add_option("-o,--output", options->output,
                     "directory for the outputs and report.json, what --json prints");
  command.add_flag("--overwrite", options->overwrite, "make the outputs anew, replacing those that exist");
  command.add_option("--text", options->text, "held-out text for the divergence");
  command
      .add_option("--ctx", options->windows.context,
                  "tokens per window (default 256, or the model's context)")
      ->check(CLI::Range(4, 1 << 20));
  command.add_option("--chunks", options->windows.max_windows, "windows at most")->check(CLI::PositiveNumber);
  command.add_option("--prompt", options->prompts, "text that every file continues (repeatable)");
  command.add_option("--max-tokens", options->max_tokens, "tokens of each continuation (default 48)")
      ->check(CLI::PositiveNumber);
  command.add_option("--threads", options->threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options->json, "print one JSON document");
  add_examples(
      command,
      "  assay compare ./Llama-3.2-1B --to mlx:4bit,gguf:Q4_K_M -o out --text heldout.txt\n"
      "  assay compare ./Llama-3.2-1B theirs-Q4_K_M.gguf --text heldout.txt --prompt \"Once upon a time\"");
  return [options] { return run_compare(*options); };
}

}  // namespace assay
