#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "base/thread_pool.hpp"
#include "cli/bench_encoder.hpp"
#include "cli/options.hpp"
#include "cli/subprocess.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "eval/speed.hpp"
#include "kernels/encoder_kernels.hpp"
#include "kernels/kernels.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  bool json = false;
  RunOptions run;
  SpeedOptions speed;
  bool encoder = false;
  EncoderBenchOptions encoder_bench;
};

/// The format most of the weights are in: "Q4_K", "mlx-4bit-g64".
std::string main_format(const ModelFile& file) {
  std::map<std::string, uint64_t> bytes;
  for (const ModelTensor& tensor : file.tensors())
    bytes[format_name(tensor.weight.format)] += tensor.weight.bytes();
  return std::max_element(bytes.begin(), bytes.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Json sample_json(const RateSample& sample, const std::string& unit) {
  return {
      {"n", sample.n}, {"median", sample.median}, {"min", sample.min}, {"max", sample.max}, {"unit", unit}};
}

/// One row; `hash` of the logits and bytes read per unit where the test has them.
Json run_json(Json row, const std::string& test, const RateSample& sample, const std::string& unit,
              std::optional<uint64_t> hash, double gigabytes_per_second) {
  row["test"] = test;
  row.update(sample_json(sample, unit));
  row["gb_s"] = gigabytes_per_second > 0.0 ? Json(gigabytes_per_second) : Json();
  row["bandwidth_share"] = Json();
  row["logits_hash"] = hash ? Json(fmt::format("{:016x}", *hash)) : Json();
  return row;
}

/// Load, prefill and decode of one file, measured in this process.
Json measure_here(const std::string& path, const Options& options) {
  LanguageModel model(expand_path(path), options.run.engine());
  const SpeedResult speed = measure_speed(model, options.speed);
  const Json row = {{"path", path},
                    {"format", main_format(model.file())},
                    {"weight_bytes", model.weight_bytes()},
                    {"kv_bytes", speed.kv_bytes},
                    {"peak_rss_bytes", peak_rss_bytes()}};
  const double load = model.load_seconds();
  return {run_json(row, "load", {1, load, load, load}, "s", {}, 0.0),
          run_json(row, fmt::format("prefill {}", options.speed.prefill_tokens), speed.prefill, "tok/s",
                   speed.prefill_hash, 0.0),
          run_json(row, fmt::format("decode {}", options.speed.decode_tokens), speed.decode, "tok/s",
                   speed.decode_hash, speed.decode.median * speed.bytes_per_token / 1e9)};
}

/// The same in a process of its own, whose peak memory is then that file's alone.
Json measure_apart(const std::string& path, const Options& options) {
  std::vector<std::string> arguments = {"bench", path, "--json", "--compute", options.run.compute};
  const std::pair<const char*, int64_t> settings[] = {{"--prefill", options.speed.prefill_tokens},
                                                      {"--decode", options.speed.decode_tokens},
                                                      {"--repeats", options.speed.repeats},
                                                      {"--warmup", options.speed.warmup},
                                                      {"--threads", options.run.threads}};
  for (const auto& [name, value] : settings)
    if (value > 0) arguments.insert(arguments.end(), {name, std::to_string(value)});
  return Json::parse(run_self(arguments))["runs"];
}

std::string show(const Json& value, int decimals, double scale = 1.0) {
  return value.is_null() ? "-" : fmt::format("{:.{}f}", value.get<double>() * scale, decimals);
}

void print_runs(const Json& document) {
  const Json& machine = document["machine"];
  fmt::print("{} · {} · {} threads · reads {:.1f} GB/s\n\n", machine["cpu"].get<std::string>(),
             machine["isa"].get<std::string>(), machine["threads"].get<int>(),
             machine["read_gb_s"].get<double>());
  Table table({"file", "format", "test", "median", "min", "max", "unit", "n", "GB/s", "% of bandwidth",
               "weights MB", "KV MB", "peak MB", "logits"});
  for (const Json& run : document["runs"]) {
    const int decimals = run["unit"] == "s" ? 3 : 1;
    const Json& hash = run["logits_hash"];
    table.add_row({run["path"].get<std::string>(), run["format"].get<std::string>(),
                   run["test"].get<std::string>(), show(run["median"], decimals), show(run["min"], decimals),
                   show(run["max"], decimals), run["unit"].get<std::string>(), run["n"].dump(),
                   show(run["gb_s"], 2), show(run["bandwidth_share"], 0, 100),
                   show(run["weight_bytes"], 1, 1e-6), show(run["kv_bytes"], 1, 1e-6),
                   show(run["peak_rss_bytes"], 1, 1e-6),
                   hash.is_null() ? "-" : "x" + hash.get<std::string>()});
  }
  fmt::print("{}", table.to_text());
}

int run_bench(const Options& options) {
  const int threads = options.run.threads > 0 ? options.run.threads : count_physical_cores();
  TerminalProgress progress;
  Json runs = Json::array();
  progress.begin("bench", options.paths.size(), "file");
  for (const std::string& path : options.paths) {
    const Json measured =
        options.paths.size() == 1 ? measure_here(path, options) : measure_apart(path, options);
    runs.insert(runs.end(), measured.begin(), measured.end());
    progress.advance(1);
  }
  progress.end();
  const double bandwidth = measure_read_bandwidth(threads);
  for (Json& run : runs)
    if (!run["gb_s"].is_null()) run["bandwidth_share"] = run["gb_s"].get<double>() * 1e9 / bandwidth;
  const Json document = {{"machine",
                          {{"cpu", processor_name()},
                           {"isa", kernels().isa},
                           {"threads", threads},
                           {"read_gb_s", bandwidth / 1e9}}},
                         {"compute", options.run.compute},
                         {"runs", runs}};
  if (options.json) {
    print_json(document);
  } else {
    print_runs(document);
  }
  return 0;
}

/// Every encoder in this process: their times are what counts, and peak memory is the largest so far.
int run_encoder_bench(const Options& options) {
  EncoderBenchOptions bench = options.encoder_bench;
  bench.repeats = options.speed.repeats;
  bench.warmup = options.speed.warmup;
  if (!bench.vectors.empty() && (bench.ids.empty() || options.paths.size() != 1))
    throw UsageError("--vectors needs --ids and one model");
  const int threads = options.run.threads > 0 ? options.run.threads : count_physical_cores();
  Json document = {
      {"machine", {{"cpu", processor_name()}, {"isa", encoder_kernels().isa}, {"threads", threads}}},
      {"compute", options.run.compute},
      {"runs", Json::array()}};
  for (const std::string& path : options.paths)
    for (Json& run : measure_encoder(path, options.run.engine(), bench))
      document["runs"].push_back(std::move(run));
  if (options.json) {
    print_json(document);
  } else {
    print_encoder_runs(document);
  }
  return 0;
}

/// An encoder writes no text, so there is nothing else that its bench could mean. Throws Error where both
/// kinds are named: their figures make no one table.
bool all_encoders(const Options& options) {
  size_t encoders = 0;
  for (const std::string& path : options.paths) {
    const bool is_encoder = ModelFile::open(expand_path(path)).config().encoder.has_value();
    encoders += is_encoder ? 1 : 0;
    if (encoders != 0 && encoders != static_cast<size_t>(&path - options.paths.data()) + 1)
      throw Error({"a language model beside an encoder", path, "files of one kind", {}, "run bench twice"});
  }
  return encoders == options.paths.size();
}

/// The counts of a decoder and the files of an encoder do not go together.
void declare_encoder_options(CLI::App& command, Options& options) {
  CLI::Option* encoder = command.add_flag(
      "--encoder", options.encoder, "time encoders: token ids to pooled vectors (the default for encoders)");
  command
      .add_option("--ids", options.encoder_bench.ids,
                  "JSON Lines, each line one batch: a list of lists of token ids (default: random ids in the "
                  "shapes 1x16, 32x128 and a mix of lengths)")
      ->needs(encoder);
  command
      .add_option("--vectors", options.encoder_bench.vectors,
                  "write the vectors of --ids: little-endian f32, [texts, dim]")
      ->needs(encoder);
}

}  // namespace

RunVerb declare_bench(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("paths", options->paths, "model directories or GGUF files")->required();
  command.add_option("--prefill", options->speed.prefill_tokens, "prompt tokens (default 256)")
      ->check(kCount);
  command.add_option("--decode", options->speed.decode_tokens, "tokens decoded one by one (default 64)")
      ->check(kCount);
  command.add_option("--repeats", options->speed.repeats, "counted runs (default 5)")->check(kCount);
  command.add_option("--warmup", options->speed.warmup, "runs before them that are not counted (default 1)")
      ->check(CLI::Range(1, 100));
  command.add_flag("--json", options->json, "print one JSON document");
  declare_encoder_options(command, *options);
  options->run.declare(command);
  add_examples(command,
               "  assay bench out/mlx-4bit out/model-Q4_K_M.gguf\n"
               "  assay bench model.gguf --prefill 512 --decode 128 --repeats 9 --threads 2 --json\n"
               "  assay bench out/int8 ./all-MiniLM-L6-v2");
  return [options] {
    const bool encoders = options->encoder || all_encoders(*options);
    return encoders ? run_encoder_bench(*options) : run_bench(*options);
  };
}

}  // namespace assay
