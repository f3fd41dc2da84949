#include <fmt/format.h>

#include <memory>

#include "base/file.hpp"
#include "base/memory.hpp"
#include "base/thread_pool.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "eval/speed.hpp"
#include "kernels/kernels.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

struct Options {
  std::vector<std::string> paths;
  bool json = false;
  RunOptions run;
  SpeedOptions speed;
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

struct Row {
  std::string path, format, test;
  RateSample rate;
  double gigabytes_per_second = 0.0;  ///< weights read; 0 where the test is not bound by them
  uint64_t peak_rss = 0, logits_hash = 0;
};

std::vector<Row> measure_path(const std::string& path, const Options& options) {
  LanguageModel model(expand_path(path), options.run.engine());
  const SpeedResult speed = measure_speed(model, options.speed);
  const std::string format = main_format(model.file());
  const uint64_t peak = peak_rss_bytes();
  return {{path, format, fmt::format("prefill {}", options.speed.prefill_tokens), speed.prefill, 0.0, peak,
           speed.logits_hash},
          {path, format, fmt::format("decode {}", options.speed.decode_tokens), speed.decode,
           speed.decode.median * speed.bytes_per_token / 1e9, peak, speed.logits_hash}};
}

nlohmann::ordered_json to_json(const Row& row, double bandwidth) {
  const bool bound = row.gigabytes_per_second > 0.0;
  return {{"path", row.path},
          {"format", row.format},
          {"test", row.test},
          {"n", row.rate.n},
          {"median", row.rate.median},
          {"min", row.rate.min},
          {"max", row.rate.max},
          {"unit", "tok/s"},
          {"gb_s", bound ? nlohmann::ordered_json(row.gigabytes_per_second) : nlohmann::ordered_json()},
          {"bandwidth_share", bound ? nlohmann::ordered_json(row.gigabytes_per_second * 1e9 / bandwidth)
                                    : nlohmann::ordered_json()},
          {"peak_rss_bytes", row.peak_rss},
          {"logits_hash", fmt::format("{:016x}", row.logits_hash)}};
}

void print_rows(const std::vector<Row>& rows, double bandwidth, int threads) {
  fmt::print("{} · {} · {} threads · reads {:.1f} GB/s\n\n", processor_name(), kernels().isa, threads,
             bandwidth / 1e9);
  Table table({"file", "format", "test", "tok/s", "min", "max", "n", "GB/s", "of bandwidth", "logits"});
  for (const Row& row : rows) {
    const bool bound = row.gigabytes_per_second > 0.0;
    table.add_row({row.path, row.format, row.test, fmt::format("{:.1f}", row.rate.median),
                   fmt::format("{:.1f}", row.rate.min), fmt::format("{:.1f}", row.rate.max),
                   std::to_string(row.rate.n), bound ? fmt::format("{:.2f}", row.gigabytes_per_second) : "-",
                   bound ? fmt::format("{:.0f} %", row.gigabytes_per_second * 1e11 / bandwidth) : "-",
                   fmt::format("x{:016x}", row.logits_hash)});
  }
  fmt::print("{}", table.to_text());
}

int run_bench(const Options& options) {
  const int threads = options.run.threads > 0 ? options.run.threads : count_physical_cores();
  TerminalProgress progress;
  std::vector<Row> rows;
  progress.begin("bench", options.paths.size(), "file");
  for (const std::string& path : options.paths) {
    for (Row& row : measure_path(path, options)) rows.push_back(std::move(row));
    progress.advance(1);
  }
  progress.end();
  const double bandwidth = measure_read_bandwidth(threads);
  if (!options.json) {
    print_rows(rows, bandwidth, threads);
    return 0;
  }
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const Row& row : rows) runs.push_back(to_json(row, bandwidth));
  print_json({{"machine",
               {{"cpu", processor_name()},
                {"isa", kernels().isa},
                {"threads", threads},
                {"read_gb_s", bandwidth / 1e9}}},
              {"compute", options.run.compute},
              {"runs", runs}});
  return 0;
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
  options->run.declare(command);
  add_examples(command,
               "  assay bench out/mlx-4bit out/model-Q4_K_M.gguf\n"
               "  assay bench model.gguf --prefill 512 --decode 128 --repeats 9 --threads 2 --json");
  return [options] { return run_bench(*options); };
}

}  // namespace assay
