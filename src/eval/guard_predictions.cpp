#include "eval/guard_predictions.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "eval/dataset.hpp"
#include "eval/guard_benchmarks.hpp"
#include "eval/guard_parser.hpp"
#include "eval/guard_prompt.hpp"
#include "eval/guard_score.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

/// A stored label as the labels of a row: one word, or the "Answers: …" form.
GuardLabels truth_from(const std::string& label, bool has_response, const std::string& where) {
  GuardLabels truth = parse_guard_answers_block(label);
  if (const GuardLabel word = guard_label_from_word(label)) {
    const GuardTask task = is_refusal_word(label) ? GuardTask::kRefusal
                           : has_response         ? GuardTask::kResponseHarm
                                                  : GuardTask::kPromptHarm;
    truth = {};
    truth[task] = word;
  }
  if (!truth.any())
    throw Error({"the label says nothing", where, "harmful, unharmful, …", label.substr(0, 40), {}});
  return truth;
}

/// {prompt, label, predict}
void take_official(const DatasetRow& row, GuardRecord& record) {
  const std::string prompt = text_member(row, "prompt");
  record.prompt_sha256 = sha256_of_text(prompt);
  const size_t input = prompt.find("Human user:\n");
  const auto exchange =
      parse_guard_input(std::string_view(prompt).substr(input == std::string::npos ? prompt.size() : input));
  record.prompt = exchange ? exchange->prompt : prompt;
  record.truth = truth_from(text_member(row, "label"), exchange && exchange->response, row.where);
  record.text = text_member(row, "predict");
}

/// {prompt, [source], ground_truth, predicted, correct, response}
void take_wizard(const DatasetRow& row, GuardRecord& record) {
  record.prompt = text_member(row, "prompt");
  record.source = text_member(row, "source");
  record.truth = truth_from(text_member(row, "ground_truth"), false, row.where);
  record.text = text_member(row, "response");
  GuardLabels predicted;
  predicted[GuardTask::kPromptHarm] = guard_label_from_word(text_member(row, "predicted"));
  record.predicted = predicted;
}

/// The first `most` code points of UTF-8 text.
std::string first_characters(const std::string& text, size_t most) {
  size_t end = 0;
  for (size_t count = 0; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xC0u) != 0x80;
    if (begins && count++ == most) break;
  }
  return text.substr(0, end);
}

Json class_json(const BinaryMatrix& matrix) {
  return {{"precision", matrix.precision()},
          {"recall", matrix.recall()},
          {"f1", matrix.f1()},
          {"tp", matrix.tp},
          {"fp", matrix.fp},
          {"fn", matrix.fn},
          {"tn", matrix.tn}};
}

Json metrics_json(const BinaryMatrix& matrix, int64_t total, LegacySchema schema) {
  const int64_t correct = matrix.tp + matrix.tn;
  Json metrics = {{"total", total}, {"valid", matrix.total()}};
  if (schema == LegacySchema::kPerClass) {
    metrics["accuracy"] = matrix.accuracy();
    metrics["harmful"] = class_json(matrix);
    metrics["safe"] = class_json(matrix.mirrored());
    return metrics;
  }
  metrics["correct"] = correct;
  metrics["accuracy"] = total == 0 ? 0.0 : static_cast<double>(correct) / static_cast<double>(total);
  metrics["precision"] = matrix.precision();
  metrics["recall"] = matrix.recall();
  metrics["f1"] = matrix.f1();
  metrics["confusion"] = {{"tp", matrix.tp}, {"tn", matrix.tn}, {"fp", matrix.fp}, {"fn", matrix.fn}};
  return metrics;
}

Json row_json(const GuardRecord& record, GuardLabel predicted, LegacySchema schema) {
  const bool truth = *record.truth[GuardTask::kPromptHarm];
  const auto word = [schema](bool harmful) {
    return harmful ? "harmful" : schema == LegacySchema::kPerClass ? "safe" : "unharmful";
  };
  Json row = {{"prompt", first_characters(record.prompt, 100) + "..."}};
  if (!record.source.empty()) row["source"] = record.source;
  row["ground_truth"] = word(truth);
  row["predicted"] = predicted ? word(*predicted) : "unknown";
  row["correct"] = predicted == GuardLabel(truth);
  row["response"] = first_characters(record.text, 500) + "...";
  row["raw_response"] = record.text;
  row["prompt_sha256"] = record.prompt_sha256;
  row["finish_reason"] = record.finish_reason;
  row["prompt_tokens"] = record.prompt_tokens;
  row["answer_tokens"] = record.answer_tokens;
  row["seconds"] = record.seconds;
  return row;
}

}  // namespace

std::vector<GuardRecord> read_guard_predictions(const fs::path& path, const std::string& set) {
  const std::string bytes = read_text_file(path, size_t{4} << 30);
  if (is_guard_store(bytes)) return read_guard_records(path);
  std::vector<GuardRecord> records;
  for (const DatasetRow& row : parse_dataset(bytes, path)) {
    GuardRecord record{.set = set.empty() ? guard_set_name(path) : set,
                       .id = std::to_string(records.size()),
                       .prompt = {},
                       .prompt_sha256 = {}};
    if (row.fields.contains("predict") && row.fields.contains("label"))
      take_official(row, record);
    else if (row.fields.contains("predicted") && row.fields.contains("ground_truth"))
      take_wizard(row, record);
    else
      throw Error({"no stored prediction",
                   row.where,
                   "label and predict, ground_truth and predicted, or a row of eval guard",
                   {},
                   {}});
    records.push_back(std::move(record));
  }
  return records;
}

LegacySchema parse_legacy_schema(std::string_view word) {
  if (word == "per-class") return LegacySchema::kPerClass;
  if (word == "confusion") return LegacySchema::kConfusion;
  throw UsageError({"no such form of results", {}, "per-class or confusion", std::string(word), {}});
}

Json legacy_results(std::span<const GuardRecord> records, std::span<const GuardLabel> predicted,
                    LegacySchema schema, const Json& model) {
  Json rows = Json::array();
  BinaryMatrix matrix;
  for (size_t i = 0; i < records.size(); ++i) {
    if (!records[i].truth[GuardTask::kPromptHarm]) continue;
    rows.push_back(row_json(records[i], predicted[i], schema));
    if (!predicted[i]) continue;
    const bool truth = *records[i].truth[GuardTask::kPromptHarm];
    ++(truth ? (*predicted[i] ? matrix.tp : matrix.fn) : (*predicted[i] ? matrix.fp : matrix.tn));
  }
  const auto total = static_cast<int64_t>(rows.size());
  return {{"metrics", metrics_json(matrix, total, schema)}, {"model", model}, {"results", rows}};
}

}  // namespace assay
