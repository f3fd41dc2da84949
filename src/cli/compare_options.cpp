#include "cli/compare_options.hpp"

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/options.hpp"
#include "eval/endpoint.hpp"

namespace assay {
namespace {

void declare_subjects(CLI::App& command, CompareOptions& options) {
  command.add_option("source", options.source, "the unquantized checkpoint everything is compared with")
      ->required();
  command.add_option("paths", options.paths, "existing MLX directories or GGUF files to compare as well");
  command.add_option("--to", options.recipes, "recipes to build, separated by commas");
  command
      .add_option("--endpoint", options.endpoints,
                  "https://HOST/v1#MODEL: somebody's server, for the tasks that need only text")
      ->expected(1)
      ->take_all();
  command.add_option("-o,--output", options.output,
                     "directory for the outputs, report.json, report.md and report.html");
  command.add_flag("--overwrite", options.overwrite, "make the outputs anew, replacing those that exist");
  command.add_option("--threads", options.threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options.json, "print report.json on stdout");
}

void declare_divergence(CLI::App& command, CompareOptions& options) {
  command
      .add_option("--text", options.texts,
                  "held-out text, or JSONL of texts or conversations, for the divergence (repeatable)")
      ->expected(1)
      ->take_all();
  command.add_option("--field", options.text_field, "member of a JSONL row that holds the text");
  command
      .add_option("--ctx", options.windows.context, "tokens per window (default 256, or the model's context)")
      ->check(CLI::Range(4, 1 << 20));
  command.add_option("--chunks", options.windows.max_windows, "windows at most")->check(CLI::PositiveNumber);
}

void declare_speed(CLI::App& command, CompareOptions& options) {
  command
      .add_option("--rounds", options.speed.rounds,
                  "rounds of timing, in which all files take turns; below 6 no difference can be shown, 0 "
                  "leaves it out")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  command.add_option("--max-bytes", options.needs.max_bytes, "advice: largest file you can use")
      ->check(CLI::PositiveNumber);
  command.add_option("--max-memory", options.needs.max_memory, "advice: most resident bytes")
      ->check(CLI::PositiveNumber);
  command.add_option("--min-decode", options.needs.min_decode, "advice: tokens per second you need")
      ->check(CLI::PositiveNumber);
  command.add_option("--max-kl", options.needs.max_kl, "advice: mean KL you accept, nats per token")
      ->check(CLI::PositiveNumber);
}

void declare_guard(CLI::App& command, CompareOptions& options) {
  command
      .add_option("--guard", options.guard.sets,
                  "guard set that every subject labels: a file, or a name below --guard-data (repeatable)")
      ->expected(1)
      ->take_all();
  command.add_option("--guard-data", options.guard_folder, "folder of guard sets");
  command.add_option("--guard-limit", options.guard.selection.limit, "rows of each set at most")
      ->check(kCount);
  command.add_option("--guard-per-class", options.guard.selection.per_class, "rows of each class at most")
      ->check(kCount);
  command.add_option("--guard-max-tokens", options.guard_max_tokens, "of a guard's answer (default 2048)")
      ->check(kCount);
}

void declare_legacy(CLI::App& command, CompareOptions& options) {
  command.add_option("--legacy-json", options.legacy,
                     "folder for the old projects' files: evaluation_*.json of --mode pointwise, "
                     "results_*.json of --guard");
  command.add_option("--legacy-schema", options.legacy_schema, "of results_*.json: per-class or confusion")
      ->check(CLI::IsMember({"per-class", "confusion"}))
      ->capture_default_str();
}

}  // namespace

void CompareOptions::declare(CLI::App& command) {
  declare_subjects(command, *this);
  declare_divergence(command, *this);
  declare_speed(command, *this);
  declare_guard(command, *this);
  command.add_option("--prompt", prompts, "a prompt that every subject answers (repeatable)")
      ->expected(1)
      ->take_all();
  judge.declare_judge(command);
  judge.declare_decoding(command);
  declare_legacy(command, *this);
}

bool CompareOptions::may_replace_legacy() const {
  if (overwrite || output.empty()) return overwrite;
  const auto whole = [](const std::string& path) {
    return std::filesystem::weakly_canonical(expand_path(path));
  };
  const std::filesystem::path folder = whole(legacy), root = whole(output);
  return std::mismatch(root.begin(), root.end(), folder.begin(), folder.end()).first == root.end();
}

bool CompareOptions::has_judge() const {
  return !judge.judge_url.empty() || !judge.judge_path.empty() || !judge.judge_replies.empty();
}

void CompareOptions::check() const {
  if (!recipes.empty() && output.empty()) throw UsageError("--to needs -o DIR for the outputs");
  if (recipes.empty() && paths.empty() && endpoints.empty())
    throw UsageError("give --to RECIPES, existing files, --endpoint, or several of them");
  if (!prompts.empty() && !judge.prompts.empty())
    throw UsageError("give prompts by --prompt or by --prompts");
  const bool pointwise = has_judge() && judge.mode == "pointwise";
  if (!legacy.empty() && has_judge() && !pointwise)
    throw UsageError("the old evaluation files hold scores: --legacy-json needs --mode pointwise");
  if (!legacy.empty() && !pointwise && guard.sets.empty())
    throw UsageError("--legacy-json needs --guard, or a judge with --mode pointwise");
  if (!judge.judge_requests.empty()) throw UsageError("--judge-requests belongs to assay eval judge");
  for (const std::string& endpoint : endpoints)
    if (!parse_endpoint_address(endpoint))
      throw UsageError({"no endpoint", "--endpoint", "https://HOST/v1#MODEL", endpoint, {}});
  if (!endpoints.empty() && recipes.empty() && paths.empty() && guard.sets.empty() && prompts.empty() &&
      !has_judge())
    throw UsageError("an endpoint is known by its text alone: give --prompt, --guard or a judge");
}

void CompareOptions::fit_context(int64_t limit) {
  if (windows.context > limit)
    throw Error({"the windows are longer than the model's context", source,
                 "at most " + std::to_string(limit), std::to_string(windows.context),
                 "a smaller --ctx fits"});
  if (windows.context == 0) windows.context = std::min<int64_t>(256, limit);
  speed.prefill_tokens = std::max<int64_t>(1, std::min(speed.prefill_tokens, limit / 2));
  speed.decode_tokens = std::min(speed.decode_tokens, std::max<int64_t>(1, limit / 2));
}

}  // namespace assay
