#include <fmt/format.h>

#include <memory>
#include <type_traits>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/thread_pool.hpp"
#include "cli/bench_decoder.hpp"
#include "cli/bench_encoder.hpp"
#include "cli/options.hpp"
#include "cli/subprocess.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "eval/machine.hpp"
#include "eval/run_config.hpp"
#include "kernels/encoder_kernels.hpp"
#include "kernels/kernels.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths;
  std::string config;
  bool json = false;
  RunOptions run;
  SpeedOptions speed;
  int64_t rounds = 1;
  bool skip_machine = false;  ///< by the parent of this process, which measures it once
  bool encoder = false;
  EncoderBenchOptions encoder_bench;
};

/// What the file says, where the command line says nothing.
void apply_config(const CLI::App& command, Options& options) {
  if (options.config.empty()) return;
  const RunConfig config = read_run_config(expand_path(options.config));
  const auto apply = [&](const char* name, const auto& given, auto& value) {
    if (given && command.get_option(name)->count() == 0)
      value = static_cast<std::remove_reference_t<decltype(value)>>(*given);
  };
  apply("--prefill", config.prefill, options.speed.prefill_tokens);
  apply("--decode", config.decode, options.speed.decode_tokens);
  apply("--batch", config.batch, options.speed.batch);
  apply("--repeats", config.repeats, options.speed.repeats);
  apply("--warmup", config.warmup, options.speed.warmup);
  apply("--rounds", config.rounds, options.rounds);
  apply("--threads", config.threads, options.run.threads);
  apply("--compute", config.compute, options.run.compute);
  apply("--kv", config.kv, options.run.kv);
  if (options.paths.empty())
    for (const std::filesystem::path& path : config.paths) options.paths.push_back(path.string());
  for (const std::string& note : config.notes) fmt::print(stderr, "{}\n", note);
}

/// A configuration's values went past the checks of the command line.
void check_values(const Options& options) {
  if (options.paths.empty()) throw UsageError("bench needs a model, or --config with one");
  if (options.run.threads < 0 || options.run.threads > 1024)
    throw UsageError({"no such number of threads", {}, "1 to 1024", std::to_string(options.run.threads), {}});
  if (options.speed.batch > 4096)
    throw UsageError({"too large a batch", {}, "at most 4096", std::to_string(options.speed.batch), {}});
  options.run.engine();  // compute and kv
}

/// Options that a run in a process of its own needs to measure the same.
std::vector<std::string> own_process_arguments(const std::string& path, const Options& options) {
  std::vector<std::string> arguments = {"bench",          path,        "--json",
                                        "--skip-machine", "--compute", options.run.compute};
  const std::pair<const char*, int64_t> settings[] = {{"--prefill", options.speed.prefill_tokens},
                                                      {"--decode", options.speed.decode_tokens},
                                                      {"--batch", options.speed.batch},
                                                      {"--repeats", options.speed.repeats},
                                                      {"--warmup", options.speed.warmup},
                                                      {"--threads", options.run.threads}};
  if (!options.run.kv.empty()) arguments.insert(arguments.end(), {"--kv", options.run.kv});
  for (const auto& [name, value] : settings)
    if (value > 0) arguments.insert(arguments.end(), {name, std::to_string(value)});
  return arguments;
}

/// Every file in a process of its own, whose peak memory is then that file's alone; files alternate, so that
/// a machine that changes its pace in the meantime changes it for all.
Json measure_apart(const Options& options, Progress& progress) {
  std::vector<Json> files;
  for (int64_t round = 0; round < options.rounds; ++round) {
    for (size_t i = 0; i < options.paths.size(); ++i) {
      Json rows = Json::parse(run_self(own_process_arguments(options.paths[i], options)))["runs"];
      if (round == 0)
        files.push_back(std::move(rows));
      else
        join_rounds(files[i], rows);
      progress.advance(1);
    }
  }
  Json all = Json::array();
  for (Json& rows : files) all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

Json describe_machine(const Options& options) {
  const int threads = options.run.threads > 0 ? options.run.threads : count_physical_cores();
  Json machine = {{"cpu", processor_name()}, {"isa", kernels().isa}, {"threads", threads}};
  if (options.skip_machine) return machine;
  machine["read_gb_s"] = measure_read_bandwidth(threads) / 1e9;
  const double peak = measure_integer_peak(kernels().isa, threads);
  machine["int8_peak"] = peak > 0.0 ? Json(peak) : Json();
  return machine;
}

int run_bench(const Options& options) {
  TerminalProgress progress;
  const bool alone = options.paths.size() == 1 && options.rounds == 1;
  progress.begin("bench", alone ? 1 : options.paths.size() * static_cast<size_t>(options.rounds), "run");
  Json runs;
  if (alone) {
    runs = measure_decoder(options.paths[0], options.run.engine(), options.speed);
    progress.advance(1);
  } else {
    runs = measure_apart(options, progress);
  }
  progress.end();
  const Json machine = describe_machine(options);
  finish_runs(runs, machine);
  const Json document = {{"machine", machine},
                         {"compute", options.run.compute},
                         {"runs", runs},
                         {"explanations", explain_runs(runs)}};
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
  command.add_option("paths", options->paths, "model directories or GGUF files");
  command.add_option("--config", options->config,
                     "run configuration in YAML: hardware and bench (docs/performance.md)");
  command.add_option("--prefill", options->speed.prefill_tokens, "prompt tokens (default 256)")
      ->check(kCount);
  command
      .add_option("--decode,--max-tokens", options->speed.decode_tokens,
                  "tokens decoded one by one (default 64)")
      ->check(kCount);
  command
      .add_option("--batch", options->speed.batch,
                  "also time so many sequences that decode together (default: no such test)")
      ->check(CLI::Range(1, 4096));
  command.add_option("--repeats", options->speed.repeats, "counted runs (default 5)")->check(kCount);
  command.add_option("--warmup", options->speed.warmup, "runs before them that are not counted (default 1)")
      ->check(CLI::Range(1, 100));
  command
      .add_option("--rounds", options->rounds,
                  "how often every file is measured, files alternating, each time in a process of its own "
                  "(default 1)")
      ->check(CLI::Range(1, 1000));
  command.add_flag("--skip-machine", options->skip_machine)->group("");
  command.add_flag("--json", options->json, "print one JSON document");
  declare_encoder_options(command, *options);
  options->run.declare(command);
  options->run.declare_kv(command);
  add_examples(command,
               "  assay bench out/mlx-4bit out/model-Q4_K_M.gguf\n"
               "  assay bench model.gguf --prefill 512 --decode 128 --repeats 9 --threads 2 --json\n"
               "  assay bench out/model-Q4_K_M.gguf out/model-Q8_0.gguf --rounds 5 --batch 16\n"
               "  assay bench --config run.yaml\n"
               "  assay bench out/int8 ./all-MiniLM-L6-v2");
  return [options, &command] {
    apply_config(command, *options);
    check_values(*options);
    const bool encoders = options->encoder || all_encoders(*options);
    return encoders ? run_encoder_bench(*options) : run_bench(*options);
  };
}

}  // namespace assay
