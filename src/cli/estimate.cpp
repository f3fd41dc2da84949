#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "base/thread_pool.hpp"
#include "cli/options.hpp"
#include "cli/verb.hpp"
#include "convert/plan.hpp"
#include "engine/memory_estimate.hpp"
#include "eval/machine.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kUsualContext = 4096;

struct Options {
  std::string source, recipes;
  int64_t context = 0;
  int64_t sequences = 1;
  double memory_gb = 0.0;  ///< of another machine than this; 0: this one's
  double read_gb_s = 0.0;  ///< likewise
  bool json = false;
  RunOptions run;
};

/// Something that could be run: what is on the disk, or what a recipe would make of it.
struct Subject {
  std::string name;
  ModelConfig config;
  Footprint footprint;
  uint64_t parameters = 0;
};

Subject subject_of_plan(const ConversionSource& source, const Recipe& recipe) {
  const Plan plan = make_plan(source, recipe);
  std::vector<TensorSize> tensors;
  for (const PlannedTensor& tensor : plan.tensors) {
    const Shape& shape = tensor.slot.shape;
    tensors.push_back({tensor.slot.role, shape.size() < 2 ? 1 : shape[0], shape.back(), tensor.bytes});
  }
  return {recipe.name, source.model(), footprint_of(tensors, source.model().tied_embeddings),
          plan.parameters};
}

Subject subject_of_file(const ModelFile& file) {
  Subject subject{file.path().filename().string(), file.config(), {}, 0};
  if (file.config().encoder) return subject;
  subject.footprint = footprint_of(file);
  for (const ModelTensor& tensor : file.tensors())
    if (tensor.slot.role != TensorRole::kRopeFactors)
      subject.parameters += static_cast<uint64_t>(tensor.weight.rows * tensor.weight.cols);
  return subject;
}

bool has_weights(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return true;
  for (const auto& entry : std::filesystem::directory_iterator(path))
    if (entry.path().extension() == ".safetensors" || entry.path().extension() == ".npz") return true;
  return false;
}

/// Without --to what is there; a configuration alone is taken as the checkpoint its authors would have
/// uploaded, in the type that it names.
std::vector<Subject> find_subjects(const Options& options) {
  std::filesystem::path path = expand_path(options.source);
  if (path.filename() == "config.json") path = path.parent_path().empty() ? "." : path.parent_path();
  std::vector<Subject> subjects;
  if (options.recipes.empty() && has_weights(path)) {
    subjects.push_back(subject_of_file(ModelFile::open(path)));
  } else {
    const ConversionSource source = ConversionSource::open(path);
    if (source.model().encoder) return {{source.name(), source.model(), {}, 0}};
    for (const Recipe& recipe : parse_recipes(options.recipes.empty() ? "none" : options.recipes))
      subjects.push_back(subject_of_plan(source, recipe));
  }
  return subjects;
}

int64_t chosen_context(const Options& options, const ModelConfig& config) {
  if (options.context > config.max_context)
    throw Error({"the model was not made for such a context",
                 options.source,
                 "at most " + std::to_string(config.max_context),
                 std::to_string(options.context),
                 {}});
  return options.context > 0 ? options.context : std::min(kUsualContext, config.max_context);
}

Json estimate_row(const Subject& subject, const Options& options, const RunShape& shape,
                  const Json& machine) {
  const MemoryEstimate memory = estimate_memory(subject.config, subject.footprint, shape);
  const double limit = decode_limit(subject.config, subject.footprint, shape.kv, shape.context,
                                    machine["read_gb_s"].get<double>() * 1e9);
  const auto available = machine["available_bytes"].get<uint64_t>();
  return {{"name", subject.name},
          {"path", options.source},
          {"parameters", subject.parameters},
          {"weight_bytes", memory.weight_bytes},
          {"kv_bytes", memory.kv_bytes},
          {"overhead_bytes", memory.overhead_bytes},
          {"total_bytes", memory.total()},
          {"bytes_per_token", machine["read_gb_s"].get<double>() * 1e9 / limit},
          {"decode_tok_s", limit},
          {"fits", available == 0 ? Json() : Json(memory.total() <= available)}};
}

Json describe_machine(const Options& options, int threads) {
  const uint64_t available =
      options.memory_gb > 0.0 ? static_cast<uint64_t>(options.memory_gb * 1e9) : available_memory_bytes();
  const double read = options.read_gb_s > 0.0 ? options.read_gb_s : measure_read_bandwidth(threads) / 1e9;
  return {{"cpu", processor_name()},
          {"threads", threads},
          {"read_gb_s", read},
          {"total_bytes", total_memory_bytes()},
          {"available_bytes", available}};
}

std::string gigabytes(const Json& bytes) {
  return fmt::format("{:.3f}", bytes.get<double>() / 1e9);
}

void print_estimates(const Json& document) {
  const Json& machine = document["machine"];
  fmt::print("{} · {} positions · KV cache {}\n", document["source"].get<std::string>(),
             document["context"].dump(), document["kv"].get<std::string>());
  fmt::print("available memory: {}; reads {:.1f} GB/s with {} threads\n\n",
             format_bytes(machine["available_bytes"].get<uint64_t>()), machine["read_gb_s"].get<double>(),
             machine["threads"].dump());
  Table table({"", "parameters", "weights GB", "KV cache GB", "overhead GB", "total GB", "fits",
               "decode tok/s at most", "GB a token"});
  for (const Json& row : document["estimates"])
    table.add_row({row["name"].get<std::string>(), format_count(row["parameters"].get<uint64_t>()),
                   gigabytes(row["weight_bytes"]), gigabytes(row["kv_bytes"]),
                   gigabytes(row["overhead_bytes"]), gigabytes(row["total_bytes"]),
                   row["fits"].is_null()     ? "?"
                   : row["fits"].get<bool>() ? "yes"
                                             : "no",
                   fmt::format("{:.2f}", row["decode_tok_s"].get<double>()),
                   gigabytes(row["bytes_per_token"])});
  fmt::print("{}", table.to_text());
}

/// The document is printed whatever it says; what does not fit is a failure beside it.
int say_what_does_not_fit(const Json& document) {
  for (const Json& row : document["estimates"]) {
    if (row["fits"].is_null() || row["fits"].get<bool>()) continue;
    throw Error({"does not fit into memory", row["name"].get<std::string>(),
                 gigabytes(document["machine"]["available_bytes"]) + " GB at most (available)",
                 fmt::format("{} GB (weights {}, KV cache {}, overhead {})", gigabytes(row["total_bytes"]),
                             gigabytes(row["weight_bytes"]), gigabytes(row["kv_bytes"]),
                             gigabytes(row["overhead_bytes"])),
                 "fewer bits, or a shorter context"});
  }
  return 0;
}

int run_estimate(const Options& options) {
  const std::vector<Subject> subjects = find_subjects(options);
  const ModelConfig& config = subjects.front().config;
  if (config.encoder)
    throw Error({"an encoder keeps no cache", options.source, "a language model", config.architecture,
                 "inspect and quantize --dry-run tell its size"});
  const EngineOptions engine = options.run.engine();
  const RunShape shape{.context = chosen_context(options, config),
                       .sequences = options.sequences,
                       .threads = engine.threads > 0 ? engine.threads : count_physical_cores(),
                       .kv = engine.kv.value_or(default_kv_format(engine.compute))};
  const Json machine = describe_machine(options, shape.threads);
  Json document = {{"source", options.source},       {"context", shape.context},
                   {"sequences", shape.sequences},   {"compute", options.run.compute},
                   {"kv", kv_format_name(shape.kv)}, {"machine", machine},
                   {"estimates", Json::array()}};
  for (const Subject& subject : subjects)
    document["estimates"].push_back(estimate_row(subject, options, shape, machine));
  if (options.json) {
    print_json(document);
  } else {
    print_estimates(document);
  }
  return say_what_does_not_fit(document);
}

}  // namespace

RunVerb declare_estimate(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("source", options->source,
                  "a model directory or GGUF file; with --to a checkpoint, of which config.json is enough")
      ->required();
  command.add_option("--to", options->recipes, "recipes, separated by commas: what they would make of it");
  command.add_option("--ctx", options->context, "positions of the KV cache (default 4096, or the model's)")
      ->check(kCount);
  command.add_option("--sequences", options->sequences, "that run at once, each with a cache (default 1)")
      ->check(CLI::Range(1, 4096));
  command
      .add_option("--memory-gb", options->memory_gb, "for a machine with so much left (default: this one)")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--read-gb-s", options->read_gb_s,
                  "for a machine that reads so fast (default: this one, measured)")
      ->check(CLI::PositiveNumber);
  command.add_flag("--json", options->json, "print one JSON document");
  options->run.declare(command);
  options->run.declare_kv(command);
  add_examples(command,
               "  assay estimate model-Q4_K_M.gguf --ctx 8192\n"
               "  assay estimate ./Llama-3.1-70B --to gguf:Q4_K_M,mlx:4bit\n"
               "  assay estimate config.json --to mlx:4bit --memory-gb 64 --read-gb-s 400");
  return [options] { return run_estimate(*options); };
}

}  // namespace assay
