#include <fmt/format.h>

#include "cli/bench_decoder.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

std::string show(const Json& value, int decimals, double scale = 1.0) {
  return value.is_null() ? "-" : fmt::format("{:.{}f}", value.get<double>() * scale, decimals);
}

void print_machine(const Json& machine) {
  fmt::print("{} · {} · {} threads · reads {:.1f} GB/s", machine["cpu"].get<std::string>(),
             machine["isa"].get<std::string>(), machine["threads"].get<int>(),
             machine["read_gb_s"].get<double>());
  if (!machine["int8_peak"].is_null())
    fmt::print(" · {:.0f} G int8 multiply-adds/s", machine["int8_peak"].get<double>() / 1e9);
  fmt::print("\n\n");
}

/// The rows of one file lie side by side, its load first.
std::vector<std::vector<const Json*>> group_files(const Json& runs) {
  std::vector<std::vector<const Json*>> files;
  for (const Json& run : runs) {
    if (run["test"] == "load") files.emplace_back();
    files.back().push_back(&run);
  }
  return files;
}

const Json* find_test(const std::vector<const Json*>& file, std::string_view test) {
  for (const Json* run : file)
    if ((*run)["test"].get<std::string>().starts_with(test)) return run;
  return nullptr;
}

/// A line a file, as people compare configurations: speed beside memory, and both beside the first's.
void print_configurations(const std::vector<std::vector<const Json*>>& files) {
  Table table({"configuration", "decode tok/s", "prefill tok/s", "load s", "weights GB", "KV GB",
               "peak memory GB", "speed / first", "weights / first"});
  for (const auto& file : files) {
    const Json &load = *file[0], &decode = *find_test(file, "decode"), &prefill = *find_test(file, "prefill"),
               &first = *find_test(files[0], "decode");
    const auto ratio = [&](const char* key) {
      return fmt::format("{:.2f}", decode[key].get<double>() / first[key].get<double>());
    };
    table.add_row({decode["format"].get<std::string>(), show(decode["median"], 1), show(prefill["median"], 1),
                   show(load["median"], 3), show(decode["weight_bytes"], 3, 1e-9),
                   show(decode["kv_bytes"], 3, 1e-9), show(decode["peak_rss_bytes"], 3, 1e-9),
                   ratio("median"), ratio("weight_bytes")});
  }
  fmt::print("{}\n", table.to_text());
}

void print_tests(const Json& runs) {
  Table table({"file", "format", "test", "median", "min", "max", "p5", "p95", "unit", "n", "GB/s",
               "% of bandwidth", "% of int8 peak", "logits"});
  bool percentiles = false;
  for (const Json& run : runs) {
    const int decimals = run["unit"] == "s" ? 3 : 1;
    const Json& hash = run["logits_hash"];
    percentiles = percentiles || !run["p5"].is_null();
    table.add_row({run["path"].get<std::string>(), run["format"].get<std::string>(),
                   run["test"].get<std::string>(), show(run["median"], decimals), show(run["min"], decimals),
                   show(run["max"], decimals), show(run["p5"], decimals), show(run["p95"], decimals),
                   run["unit"].get<std::string>(), run["n"].dump(), show(run["gb_s"], 2),
                   show(run["bandwidth_share"], 0, 100), show(run["int8_share"], 0, 100),
                   hash.is_null() ? "-" : "x" + hash.get<std::string>()});
  }
  fmt::print("{}", table.to_text());
  if (!percentiles) fmt::print("p5 and p95 need {} runs (--repeats times --rounds)\n", kPercentileRuns);
}

void print_latency(const Json& runs) {
  for (const Json& run : runs) {
    if (!run.contains("token_ms")) continue;
    const Json& ms = run["token_ms"];
    const std::string tail = ms["p95"].is_null() ? "" : fmt::format(", 95 % under {}", show(ms["p95"], 2));
    fmt::print("{}: a token takes {} ms (median of {}){}, at most {}\n", run["format"].get<std::string>(),
               show(ms["median"], 2), ms["n"].dump(), tail, show(ms["max"], 2));
  }
}

}  // namespace

void print_runs(const nlohmann::ordered_json& document) {
  print_machine(document["machine"]);
  print_configurations(group_files(document["runs"]));
  print_tests(document["runs"]);
  fmt::print("\n");
  print_latency(document["runs"]);
  for (const Json& sentence : document["explanations"]) fmt::print("{}\n", sentence.get<std::string>());
}

}  // namespace assay
