#include "cli/eval_encoder.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/encoder_report.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/text_rows.hpp"
#include "convert/conversion_metadata.hpp"
#include "eval/encoder_evaluation.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

struct Options {
  std::vector<std::string> paths;
  std::string reference, vectors, sts, pooling;
  TextInput input;
  int repeats = 3;
  bool json = false, gates = false, record = false;
  std::optional<double> fail_under, most_accuracy_drop, target_mb;
  RunOptions run;

  EmbedOptions embedding() const {
    EmbedOptions options;
    if (!pooling.empty()) options.pooling = parse_pooling(pooling);
    return options;
  }
};

/// Class numbers of the rows; empty when the file names no labels.
std::vector<int64_t> labels_of(const Options& options, const std::vector<TextRow>& rows,
                               const EncoderModel& model) {
  std::vector<int64_t> numbers;
  if (options.input.label_field.empty()) return numbers;
  const std::vector<std::string>& labels = model.traits().head.labels;
  for (const TextRow& row : rows)
    numbers.push_back(
        label_number(row.label.value_or(""), labels, fmt::format("{}:{}", options.input.file, row.line)));
  return numbers;
}

/// Vectors another engine made of the same texts: one JSON object a line with an "embedding".
std::vector<float> read_vectors(const std::string& path, size_t texts, int64_t dim) {
  const std::string bytes = read_text_file(expand_path(path));
  std::vector<float> values;
  size_t line = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const std::string text = bytes.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (text.empty()) continue;
    const auto row = nlohmann::json::parse(text, nullptr, false);
    const bool fits = row.is_object() && row.contains("embedding") && row["embedding"].is_array() &&
                      static_cast<int64_t>(row["embedding"].size()) == dim;
    if (!fits)
      throw Error({"no such vector",
                   fmt::format("{}:{}", path, line),
                   fmt::format("an object whose \"embedding\" has {} numbers", dim),
                   {},
                   {}});
    for (const auto& number : row["embedding"]) {
      if (!number.is_number())
        throw Error({"no such vector", fmt::format("{}:{}", path, line), "numbers", number.type_name(), {}});
      values.push_back(number.get<float>());
    }
  }
  if (values.size() != texts * static_cast<size_t>(dim))
    throw Error({"vectors and texts do not match",
                 path,
                 fmt::format("{} vectors", texts),
                 fmt::format("{}", values.size() / static_cast<size_t>(dim)),
                 {}});
  return values;
}

/// Sentence pairs with people's scores: CSV of two texts and a number, a header allowed.
struct ScoredPairs {
  std::vector<EncoderText> texts;  ///< both of a pair, one after the other
  std::vector<double> scores;
  std::vector<double> reference;  ///< similarities of the pairs by the reference
};

ScoredPairs read_scored_pairs(const std::string& path) {
  const std::string bytes = read_text_file(expand_path(path));
  ScoredPairs pairs;
  bool first = true;
  for (const CsvRecord& record : parse_csv(bytes, path.ends_with(".tsv") ? '\t' : ',', path)) {
    char* end = nullptr;
    const std::string cell = record.cells.size() >= 3 ? record.cells[2] : "";
    const double score = std::strtod(cell.c_str(), &end);
    const bool number = !cell.empty() && *end == '\0' && std::isfinite(score);
    if (!number && !std::exchange(first, false))
      throw Error(
          {"no scored pair", fmt::format("{}:{}", path, record.line), "text, text, number", cell, {}});
    first = false;
    if (!number) continue;
    pairs.texts.push_back({record.cells[0]});
    pairs.texts.push_back({record.cells[1]});
    pairs.scores.push_back(score);
  }
  if (pairs.scores.size() < 3)
    throw Error({"too few scored pairs", path, "3 or more", std::to_string(pairs.scores.size()), {}});
  return pairs;
}

std::vector<double> similarities(EncoderModel& model, const ScoredPairs& pairs, const EmbedOptions& options) {
  const auto vectors = model.embed(pairs.texts, options);
  std::vector<double> cosines;
  for (size_t i = 0; i < vectors.size(); i += 2) cosines.push_back(cosine(vectors[i], vectors[i + 1]));
  return cosines;
}

uint64_t parameters_of(const EncoderModel& model) {
  uint64_t total = 0;
  for (const ModelTensor& tensor : model.file().tensors())
    total += static_cast<uint64_t>(count_elements(tensor.slot.shape));
  return total;
}

/// Bits of the weights that do the work: those of the first layer's feed-forward.
int linear_bits(const EncoderModel& model) {
  const ModelTensor* tensor = model.file().find(TensorRole::kFfnDown, 0);
  return tensor != nullptr && bits_per_weight(tensor->weight.format) < 6.0 ? 4 : 8;
}

/// What every candidate is held against: made once.
struct Yardstick {
  std::vector<EncoderText> texts;
  std::vector<int64_t> labels;
  std::optional<ScoredPairs> pairs;
  EncoderOutputs outputs;
  uint64_t parameters = 0;
};

EncoderReport evaluate(const Options& options, const std::string& path, const Yardstick& reference,
                       Progress& progress) {
  EncoderModel candidate(expand_path(path), options.run.engine());
  EncoderReport report;
  report.path = path;
  report.outputs = run_encoder(candidate, reference.texts, options.embedding(), options.repeats, progress);
  report.comparison =
      compare_encoders(reference.outputs, report.outputs, reference.parameters, reference.labels);
  if (reference.pairs)
    report.similarity = compare_similarities(reference.pairs->reference,
                                             similarities(candidate, *reference.pairs, options.embedding()),
                                             reference.pairs->scores);
  GateOptions gates{.bits = linear_bits(candidate), .most_accuracy_drop = options.most_accuracy_drop};
  if (options.target_mb) gates.target_bytes = static_cast<uint64_t>(*options.target_mb * 1e6);
  report.gates = check_gates(report.comparison, report.outputs, gates);
  return report;
}

/// The named gates that failed, when the user asked for them, and --fail-under.
std::vector<std::string> failures(const Options& options, const std::vector<EncoderReport>& reports) {
  std::vector<std::string> failed;
  for (const EncoderReport& report : reports) {
    if (options.gates)
      for (const Gate& gate : report.gates)
        if (!gate.ok)
          failed.push_back(fmt::format("{}: {} {}, found {}", report.path, gate.name, gate.rule, gate.found));
    const double mean = report.comparison.drift.cosine.value;
    if (options.fail_under && !(mean >= *options.fail_under))
      failed.push_back(
          fmt::format("{}: cosine mean {:.5f} is under {}", report.path, mean, *options.fail_under));
  }
  return failed;
}

/// Adds each candidate's figures to its conversion_metadata.json.
void record(const EncoderSummary& summary) {
  const nlohmann::ordered_json document = encoder_report_json(summary);
  for (size_t i = 0; i < summary.candidates.size(); ++i) {
    nlohmann::ordered_json measured = document["results"][i];
    measured["task"] = document["task"];
    measured["reference"] = document["reference"];
    append_measurements(expand_path(summary.candidates[i].path) / kConversionMetadataName, measured);
  }
}

int run_encoders(const Options& options) {
  const std::vector<TextRow> rows = options.input.read();
  if (rows.empty()) throw Error({"no texts", options.input.file, "one or more", "none", {}});
  TerminalProgress progress;
  EncoderModel reference(expand_path(options.reference), options.run.engine());
  Yardstick yardstick{.texts = encoder_texts(rows),
                      .labels = labels_of(options, rows, reference),
                      .pairs = std::nullopt,
                      .outputs = {},
                      .parameters = parameters_of(reference)};
  if (!options.sts.empty()) {
    yardstick.pairs = read_scored_pairs(options.sts);
    yardstick.pairs->reference = similarities(reference, *yardstick.pairs, options.embedding());
  }
  yardstick.outputs = run_encoder(reference, yardstick.texts, options.embedding(), options.repeats, progress);
  EncoderSummary summary{.reference_path = options.reference, .compute = options.run.compute};
  if (!options.vectors.empty()) {
    const std::vector<float> stored = read_vectors(options.vectors, rows.size(), yardstick.outputs.dim);
    summary.engine = measure_drift({stored, yardstick.outputs.dim}, yardstick.outputs.vector_set());
  }
  for (const std::string& path : options.paths)
    summary.candidates.push_back(evaluate(options, path, yardstick, progress));
  summary.reference = std::move(yardstick.outputs);
  for (const TextRow& row : rows) summary.texts.push_back(row.text);
  if (options.json)
    print_json(encoder_report_json(summary));
  else
    fmt::print("{}", encoder_report_text(summary, reference.traits().head.labels));
  if (options.record) record(summary);
  const std::vector<std::string> failed = failures(options, summary.candidates);
  for (const std::string& line : failed) fmt::print(stderr, "assay: {}\n", line);
  return failed.empty() ? 0 : 1;
}

}  // namespace

RunVerb declare_eval_encoder(CLI::App& eval) {
  auto options = std::make_shared<Options>();
  CLI::App* task = eval.add_subcommand("encoder", "how far quantized encoders drift from their source");
  task->add_option("paths", options->paths, "int8, int4, MLX or npz directories")->required();
  task->add_option("--reference", options->reference, "the full-precision checkpoint")->required();
  options->input.declare(*task, true);
  task->add_option(
      "--vectors", options->vectors,
      "vectors another engine made of the same texts with the reference (JSONL with \"embedding\"): "
      "measures the engine apart from the quantization");
  task->add_option("--sts", options->sts, "CSV of text, text, score: Spearman and Pearson of both sides");
  task->add_option("--pooling", options->pooling, "instead of what the model's files say");
  task->add_option("--repeats", options->repeats, "timed runs after a warm-up (default 3; 0: no speed)")
      ->check(CLI::Range(0, 1000));
  task->add_flag("--gates", options->gates, "exit 1 when a criterion of the checklist fails");
  task->add_option("--fail-under", options->fail_under, "exit 1 when a mean cosine is lower");
  task->add_option("--max-accuracy-drop", options->most_accuracy_drop,
                   "gate: as a share, 0.01 for one percent");
  task->add_option("--target-mb", options->target_mb, "gate: weights of at most so many MB");
  task->add_flag("--record", options->record, "append the figures to each output's conversion_metadata.json");
  task->add_flag("--json", options->json, "print one JSON document");
  options->run.declare(*task);
  add_examples(
      *task,
      "  assay eval encoder out/int8 out/int4 --reference checkpoint --file sentences.txt\n"
      "  assay eval encoder out/int8 --reference checkpoint --file held.jsonl --label-field label --gates\n"
      "  assay eval encoder out/int8 --reference all-MiniLM-L6-v2 --file s.txt --sts sts-test.csv");
  return [options] { return run_encoders(*options); };
}

}  // namespace assay
