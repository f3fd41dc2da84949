#include "cli/bench_encoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "base/rng.hpp"
#include "engine/encoder_model.hpp"
#include "engine/pooling.hpp"
#include "engine/stopwatch.hpp"
#include "eval/statistics.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
using Batch = std::vector<Encoding>;

struct Workload {
  std::string name;
  std::vector<Batch> batches;

  size_t texts() const {
    size_t count = 0;
    for (const Batch& batch : batches) count += batch.size();
    return count;
  }
  size_t tokens() const {
    size_t count = 0;
    for (const Batch& batch : batches)
      for (const Encoding& text : batch) count += text.ids.size();
    return count;
  }
};

Batch parse_batch(const std::string& line, const std::string& where) {
  const Json rows = Json::parse(line, nullptr, false);
  const Fault fault{
      "not a batch of token ids", where, "a list of lists of whole numbers", line.substr(0, 40), {}};
  if (!rows.is_array() || rows.empty()) throw Error(fault);
  Batch batch;
  for (const Json& row : rows) {
    if (!row.is_array()) throw Error(fault);
    Encoding text;
    for (const Json& id : row) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) throw Error(fault);
      text.ids.push_back(id.get<TokenId>());
    }
    text.types.assign(text.ids.size(), 0);
    batch.push_back(std::move(text));
  }
  return batch;
}

Workload read_workload(const std::filesystem::path& path) {
  const std::string content = read_text_file(path);
  Workload workload{path.stem().string(), {}};
  for (size_t begin = 0, line = 1; begin < content.size(); ++line) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    if (end > begin)
      workload.batches.push_back(
          parse_batch(content.substr(begin, end - begin), fmt::format("{}:{}", path.string(), line)));
    begin = end + 1;
  }
  if (workload.batches.empty())
    throw Error({"no batches", path.string(), "one JSON list of lists of token ids a line", "nothing", {}});
  return workload;
}

Encoding random_text(Rng& rng, int64_t length, EncoderModel& model) {
  Encoding text;
  const int64_t most = model.encoder().max_tokens();
  for (int64_t i = 0; i < std::min(length, most); ++i)
    text.ids.push_back(static_cast<TokenId>(rng.below(static_cast<uint64_t>(model.config().vocab_size))));
  text.types.assign(text.ids.size(), 0);
  return text;
}

/// Lengths of the mix: log-normal around 20 within 5 and 128, sorted, as embed() would batch them.
std::vector<int64_t> mixed_lengths(Rng& rng, size_t count) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < count; ++i) {
    const double length = std::clamp(20.0 * std::exp(0.8 * rng.normal()), 5.0, 128.0);
    lengths.push_back(static_cast<int64_t>(length));
  }
  std::sort(lengths.begin(), lengths.end());
  return lengths;
}

std::vector<Workload> random_workloads(EncoderModel& model) {
  Rng rng(42);
  Workload single{"1x16", {}}, block{"32x128", {{}}}, mix{"mix", {}};
  for (int i = 0; i < 64; ++i) single.batches.push_back({random_text(rng, 16, model)});
  for (int i = 0; i < 32; ++i) block.batches.front().push_back(random_text(rng, 128, model));
  for (const int64_t length : mixed_lengths(rng, 256)) {
    if (mix.batches.empty() || mix.batches.back().size() == 32) mix.batches.emplace_back();
    mix.batches.back().push_back(random_text(rng, length, model));
  }
  return {single, block, mix};
}

/// Runs every batch, from ids to vectors one after another in `out`, [texts, dim].
void run_pass(EncoderModel& model, const Workload& workload, std::vector<float>& out) {
  const PoolingModes& modes = model.modules().pooling;
  const int64_t hidden = model.config().hidden_dim;
  const size_t dim = static_cast<size_t>(modes.count() * hidden);
  size_t first = 0;
  for (const Batch& batch : workload.batches) {
    const auto take = [&](size_t i, std::span<const float> rows) {
      const std::span<float> vector(out.data() + (first + i) * dim, dim);
      pool_rows(modes, rows, hidden, 0, vector);
      if (model.modules().normalize) normalize_length(vector);
    };
    if (reads_first_row_only(modes)) {
      model.encoder().first_rows(batch, take);
    } else {
      model.encoder().hidden_states(batch, take);
    }
    first += batch.size();
  }
}

void write_vectors(const std::filesystem::path& path, std::span<const float> vectors) {
  static_assert(std::endian::native == std::endian::little);
  AtomicFile file(path, true);
  file.write(std::as_bytes(vectors));
  file.commit();
}

/// Seconds of the counted passes; the vectors of the last one are in `vectors`.
std::vector<double> time_passes(EncoderModel& model, const Workload& workload,
                                const EncoderBenchOptions& options, std::vector<float>& vectors) {
  std::vector<double> seconds;
  for (int64_t pass = -options.warmup; pass < options.repeats; ++pass) {
    const Stopwatch watch;
    run_pass(model, workload, vectors);
    if (pass >= 0) seconds.push_back(watch.seconds());
  }
  return seconds;
}

Json workload_row(const Workload& workload, const std::vector<double>& seconds) {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const double median = quantile(sorted, 0.5);
  const auto tokens = static_cast<double>(workload.tokens()), texts = static_cast<double>(workload.texts());
  return {{"test", "encoder " + workload.name},
          {"n", seconds.size()},
          {"median", median},
          {"min", sorted.front()},
          {"max", sorted.back()},
          {"unit", "s"},
          {"seconds", seconds},
          {"batches", workload.batches.size()},
          {"texts", workload.texts()},
          {"tokens", workload.tokens()},
          {"texts_s", texts / median},
          {"tokens_s", tokens / median}};
}

}  // namespace

Json measure_encoder(const std::string& path, const EngineOptions& engine,
                     const EncoderBenchOptions& options) {
  EncoderModel model(expand_path(path), engine);
  const std::vector<Workload> workloads =
      options.ids.empty() ? random_workloads(model) : std::vector{read_workload(expand_path(options.ids))};
  Json rows = Json::array();
  for (const Workload& workload : workloads) {
    const auto dim = static_cast<size_t>(model.modules().pooling.count() * model.config().hidden_dim);
    std::vector<float> vectors(workload.texts() * dim);
    const std::vector<double> seconds = time_passes(model, workload, options, vectors);
    Json row = {{"path", path}, {"dim", dim}};
    row.update(workload_row(workload, seconds));
    row["load_s"] = model.load_seconds();
    row["resident_weight_bytes"] = model.encoder().resident_weight_bytes();
    row["peak_rss_bytes"] = peak_rss_bytes();
    rows.push_back(std::move(row));
    if (!options.vectors.empty()) write_vectors(expand_path(options.vectors), vectors);
  }
  return rows;
}

void print_encoder_runs(const Json& document) {
  const Json& machine = document["machine"];
  fmt::print("{} · {} · {} threads\n\n", machine["cpu"].get<std::string>(), machine["isa"].get<std::string>(),
             machine["threads"].get<int>());
  Table table(
      {"file", "test", "ms a batch", "min", "max", "texts/s", "tokens/s", "n", "weights MB", "peak MB"});
  for (const Json& run : document["runs"]) {
    const double batches = run["batches"].get<double>();
    const auto milliseconds = [&](const char* key) {
      return fmt::format("{:.3f}", run[key].get<double>() / batches * 1e3);
    };
    table.add_row({run["path"].get<std::string>(), run["test"].get<std::string>(), milliseconds("median"),
                   milliseconds("min"), milliseconds("max"),
                   fmt::format("{:.0f}", run["texts_s"].get<double>()),
                   fmt::format("{:.0f}", run["tokens_s"].get<double>()), run["n"].dump(),
                   fmt::format("{:.1f}", run["resident_weight_bytes"].get<double>() / 1e6),
                   fmt::format("{:.1f}", run["peak_rss_bytes"].get<double>() / 1e6)});
  }
  fmt::print("{}", table.to_text());
}

}  // namespace assay
