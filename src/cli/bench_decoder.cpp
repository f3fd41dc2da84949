#include "cli/bench_decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "base/thread_pool.hpp"
#include "engine/memory_estimate.hpp"
#include "eval/speed_bounds.hpp"
#include "kernels/kernels.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// The format most of the weights are in.
WeightFormat main_format(const ModelFile& file) {
  std::map<std::string, uint64_t> bytes;
  const ModelTensor* largest = nullptr;
  uint64_t most = 0;
  for (const ModelTensor& tensor : file.tensors()) {
    uint64_t& total = bytes[format_name(tensor.weight.format)];
    total += tensor.weight.bytes();
    if (total > most) most = total, largest = &tensor;
  }
  return largest->weight.format;
}

std::string hash_text(uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

Json run_row(Json row, const std::string& test, const char* unit, const SpeedSample& sample) {
  row["test"] = test;
  row["unit"] = unit;
  row["values"] = sample.values;
  row["gb_per_unit"] = Json();
  row["gmac_per_unit"] = Json();
  row["logits_hash"] = Json();
  return row;
}

Json load_row(const Json& common, const SpeedSample& sample, double first) {
  Json row = run_row(common, "load", "s", sample);
  row["first_s"] = first;
  return row;
}

Json prefill_row(const Json& common, const SpeedOptions& options, const SpeedResult& speed, bool integer) {
  Json row = run_row(common, fmt::format("prefill {}", options.prefill_tokens), "tok/s", speed.prefill);
  if (integer) row["gmac_per_unit"] = speed.prefill_macs_per_token(options.prefill_tokens) / 1e9;
  row["logits_hash"] = hash_text(speed.prefill_hash);
  return row;
}

Json decode_row(const Json& common, const SpeedOptions& options, const SpeedResult& speed, bool integer) {
  Json row = run_row(common, fmt::format("decode {}", options.decode_tokens), "tok/s", speed.decode);
  row["gb_per_unit"] = speed.decode_bytes_per_token() / 1e9;
  if (integer) row["gmac_per_unit"] = speed.decode_macs_per_token() / 1e9;
  row["logits_hash"] = hash_text(speed.decode_hash);
  row["token_seconds"] = speed.token_seconds.values;
  return row;
}

Json batch_row(const Json& common, const SpeedOptions& options, const SpeedResult& speed, bool integer) {
  Json row =
      run_row(common, fmt::format("batch {}x{}", options.batch, options.decode_tokens), "tok/s", speed.batch);
  row["gb_per_unit"] = speed.batch_bytes_per_token(options.batch) / 1e9;
  if (integer) row["gmac_per_unit"] = speed.decode_macs_per_token() / 1e9;
  row["logits_hash"] = hash_text(speed.batch_hash);
  row["kv_bytes"] = speed.batch_kv_bytes;
  row["peak_rss_bytes"] = peak_rss_bytes();
  return row;
}

/// The sample's figures beside its values; null where the runs are too few for them.
void add_sample(Json& row) {
  const SpeedSample sample = summarize_speed(row["values"].get<std::vector<double>>());
  row["n"] = sample.n();
  row["median"] = sample.median;
  row["min"] = sample.min;
  row["max"] = sample.max;
  row["p5"] = sample.p5 ? Json(*sample.p5) : Json();
  row["p95"] = sample.p95 ? Json(*sample.p95) : Json();
}

/// A token's time as its reader feels it: the tail of single tokens, not of whole runs.
void add_latency(Json& row) {
  if (!row.contains("token_seconds")) return;
  const SpeedSample sample = summarize_speed(row["token_seconds"].get<std::vector<double>>());
  row["token_ms"] = {{"n", sample.n()},
                     {"median", sample.median * 1e3},
                     {"p5", sample.p5 ? Json(*sample.p5 * 1e3) : Json()},
                     {"p95", sample.p95 ? Json(*sample.p95 * 1e3) : Json()},
                     {"max", sample.max * 1e3}};
}

/// median * per_unit, null without either; and its share of the machine's `peak`.
void add_rate(Json& row, const char* per_unit, const char* rate, const char* share, double peak) {
  row[rate] = row[share] = Json();
  if (row[per_unit].is_null()) return;
  const double reached = row["median"].get<double>() * row[per_unit].get<double>();
  row[rate] = reached;
  if (peak > 0.0) row[share] = reached / peak;
}

/// Before anything is loaded: neither the context nor the memory may turn out too short later.
void check_fits(const ModelFile& model, const EngineOptions& engine, const SpeedOptions& options) {
  check_context(model, options);
  require_memory(estimate_memory(model.config(), footprint_of(model),
                                 {.context = options.prefill_tokens + options.decode_tokens,
                                  .sequences = 1 + options.batch,
                                  .threads = engine.threads > 0 ? engine.threads : count_physical_cores(),
                                  .kv = engine.kv.value_or(default_kv_format(engine.compute))}),
                 model.path().string());
}

double number_or_zero(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found == row.end() || !found->is_number() ? 0.0 : found->get<double>();
}

}  // namespace

nlohmann::ordered_json measure_decoder(const std::string& path, const EngineOptions& engine,
                                       const SpeedOptions& options) {
  const std::filesystem::path expanded = expand_path(path);
  check_fits(ModelFile::open(expanded), engine, options);
  std::optional<LanguageModel> model(std::in_place, expanded, engine);
  const SpeedResult speed = measure_speed(*model, options);
  const WeightFormat format = main_format(model->file());
  const bool integer = engine.compute == Compute::kFast && has_integer_products(format);
  const Json common = {{"path", path},
                       {"format", format_name(format)},
                       {"weight_bytes", speed.footprint.weight_bytes},
                       {"kv_bytes", speed.kv_bytes},
                       {"peak_rss_bytes", speed.peak_rss_bytes}};
  const double first = model->load_seconds();
  model.reset();
  Json rows = {prefill_row(common, options, speed, integer), decode_row(common, options, speed, integer)};
  if (options.batch > 0) rows.push_back(batch_row(common, options, speed, integer));
  rows.insert(rows.begin(), load_row(common, measure_load(expanded, engine, options.repeats), first));
  return rows;
}

void join_rounds(nlohmann::ordered_json& rows, const nlohmann::ordered_json& later) {
  ASSAY_CHECK(rows.size() == later.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i]["logits_hash"] != later[i]["logits_hash"])
      throw Error(
          {"rounds gave different logits", rows[i]["path"].get<std::string>(), {}, {}, "faulty memory?"});
    for (const char* key : {"values", "token_seconds"})
      if (rows[i].contains(key))
        rows[i][key].insert(rows[i][key].end(), later[i][key].begin(), later[i][key].end());
    rows[i]["peak_rss_bytes"] =
        std::max(rows[i]["peak_rss_bytes"].get<uint64_t>(), later[i]["peak_rss_bytes"].get<uint64_t>());
  }
}

void finish_runs(nlohmann::ordered_json& rows, const nlohmann::ordered_json& machine) {
  for (Json& row : rows) {
    add_sample(row);
    add_latency(row);
    add_rate(row, "gb_per_unit", "gb_s", "bandwidth_share", number_or_zero(machine, "read_gb_s"));
    add_rate(row, "gmac_per_unit", "gmac_s", "int8_share", number_or_zero(machine, "int8_peak") / 1e9);
  }
}

std::vector<std::string> explain_runs(const nlohmann::ordered_json& rows) {
  std::vector<SpeedFigures> figures;
  for (const Json& row : rows) {
    const auto test = row["test"].get<std::string>();
    if (test == "load")  // the first row of every file
      figures.push_back({.name = row["format"].get<std::string>()});
    else if (test.starts_with("prefill"))
      figures.back().int8_share = number_or_zero(row, "int8_share");
    else if (test.starts_with("decode")) {
      figures.back().decode_rate = row["median"].get<double>();
      figures.back().bytes_per_token = row["gb_per_unit"].get<double>() * 1e9;
      figures.back().bandwidth_share = number_or_zero(row, "bandwidth_share");
    }
  }
  return explain_bounds(figures);
}

}  // namespace assay
