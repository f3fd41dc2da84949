#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "cli/options.hpp"
#include "cli/result_sink.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/text_rows.hpp"
#include "cli/verb.hpp"
#include "engine/encoder_model.hpp"
#include "engine/label_probabilities.hpp"
#include "engine/zero_shot.hpp"
#include "eval/encoder_evaluation.hpp"

namespace assay {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::string_view, 2> kFormats = {"jsonl", "csv"};

struct Options {
  std::string path, output, labels, hypothesis = "This example is {}.";
  bool multi_label = false, tokens = false, overwrite = false, json = false;
  TextInput input;
  RunOptions run;

  bool is_zero_shot() const noexcept { return !labels.empty(); }
};

/// What the model says of every text.
struct Answers {
  std::vector<std::string> labels;
  std::vector<std::vector<double>> probabilities;
  bool exclusive = true;  ///< probabilities of a text add up to 1

  const std::string& label(size_t text) const {
    const auto& row = probabilities[text];
    return labels[static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin())];
  }
};

/// "a, b,c" → a b c, as transformers splits its candidate labels.
std::vector<std::string> split_labels(std::string_view text) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view label = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (!label.empty() && label.front() == ' ') label.remove_prefix(1);
    while (!label.empty() && label.back() == ' ') label.remove_suffix(1);
    if (!label.empty()) labels.emplace_back(label);
  }
  return labels;
}

void require_head(const EncoderModel& model, EncoderHeadKind wanted) {
  const EncoderHeadKind kind = model.traits().head.kind;
  if (kind == wanted) return;
  const std::string where = model.file().path().string();
  if (kind == EncoderHeadKind::kNone)
    throw Error({"this model has no classification head", where, "a head for texts or tokens",
                 "hidden states alone", "a sentence encoder? assay embed runs it"});
  if (kind == EncoderHeadKind::kToken)
    throw Error({"this model labels tokens, not texts", where, {}, {}, "--tokens shows its labels"});
  throw Error({"this model labels texts, not tokens", where, {}, {}, "leave --tokens out"});
}

Answers classify_by_head(EncoderModel& model, std::span<const TextRow> rows,
                         const EncoderModel::Advance& advance) {
  const EncoderHead& head = model.traits().head;
  Answers answers{.labels = head.labels, .probabilities = {}};
  answers.exclusive = head.problem == ProblemKind::kSingleLabel && head.labels.size() > 1;
  for (const std::vector<float>& logits : model.logits(encoder_texts(rows), advance))
    answers.probabilities.push_back(label_probabilities(logits, head.problem));
  return answers;
}

Answers classify_by_hypotheses(const Options& options, EncoderModel& model, std::span<const TextRow> rows,
                               const EncoderModel::Advance& advance) {
  ZeroShotOptions zero_shot{split_labels(options.labels), options.hypothesis, options.multi_label};
  std::vector<std::string> texts;
  for (const TextRow& row : rows) texts.push_back(row.text);
  Answers answers{.labels = zero_shot.labels,
                  .probabilities = classify_zero_shot(model, texts, zero_shot, advance)};
  answers.exclusive = !options.multi_label && zero_shot.labels.size() > 1;
  return answers;
}

/// Every true label, so that a wrong one is found before the model runs.
std::vector<std::string> true_labels(const Options& options, const std::vector<TextRow>& rows,
                                     const std::vector<std::string>& labels) {
  std::vector<std::string> out;
  if (options.input.label_field.empty()) return out;
  const std::string file = options.input.file.empty() ? "standard input" : options.input.file;
  for (const TextRow& row : rows) {
    const std::string where = fmt::format("{}:{}", file, row.line);
    out.push_back(labels[static_cast<size_t>(label_number(row.label.value_or(""), labels, where))]);
  }
  return out;
}

ordered_json probabilities_json(const std::vector<double>& values) {
  ordered_json list = ordered_json::array();
  for (const double value : values)
    list.push_back(std::isfinite(value) ? ordered_json(value) : ordered_json());
  return list;
}

std::string one_line(const ordered_json& document) {
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json result_json(const TextRow& row, const Answers& answers, size_t i) {
  ordered_json result = {{"text", row.text}};
  if (row.pair) result["pair"] = *row.pair;
  if (!row.id.is_null()) result["id"] = row.id;
  result["label"] = answers.label(i);
  result["probabilities"] = probabilities_json(answers.probabilities[i]);
  return result;
}

/// One line; `index` stands for a row without id.
void write_line(const TextRow& row, size_t index, const Answers& answers, size_t i, ResultSink& sink) {
  ordered_json line;
  if (row.id.is_null())
    line["index"] = index;
  else
    line["id"] = row.id;
  line["label"] = answers.label(i);
  const ordered_json values = probabilities_json(answers.probabilities[i]);
  for (size_t k = 0; k < values.size(); ++k) line["probabilities"][answers.labels[k]] = values[k];
  sink.write(one_line(line) + "\n");
}

void write_csv_header(const Answers& answers, ResultSink& sink) {
  std::string header = "index,label";
  for (const std::string& label : answers.labels) header += "," + csv_cell(label);
  sink.write(header + "\n");
}

void write_csv_row(size_t index, const Answers& answers, size_t i, ResultSink& sink) {
  sink.write(
      fmt::format("{},{},{}\n", index, csv_cell(answers.label(i)), fmt::join(answers.probabilities[i], ",")));
}

/// The tokens of one text with their labels; special tokens have none.
ordered_json label_tokens(const EncoderModel& model, const TextRow& row, std::span<const float> logits) {
  const std::vector<std::string>& labels = model.traits().head.labels;
  const Encoding encoding = model.tokenize({row.text, row.pair});
  ordered_json tokens = ordered_json::array();
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (model.tokenizer().is_special(encoding.ids[i])) continue;
    const auto chances =
        label_probabilities(logits.subspan(i * labels.size(), labels.size()), ProblemKind::kSingleLabel);
    const auto best = static_cast<size_t>(std::max_element(chances.begin(), chances.end()) - chances.begin());
    tokens.push_back({{"token", model.tokenizer().token(encoding.ids[i])},
                      {"id", encoding.ids[i]},
                      {"position", i},
                      {"label", labels[best]},
                      {"probability", chances[best]}});
  }
  return tokens;
}

/// Calls visit(first row, its batch) for all rows, in order.
template <typename Visit>
void for_each_batch(const std::vector<TextRow>& rows, Visit visit) {
  for (size_t first = 0; first < rows.size(); first += kRowsAtOnce)
    visit(first, std::span(rows).subspan(first, std::min(kRowsAtOnce, rows.size() - first)));
}

void run_tokens(const Options& options, EncoderModel& model, const std::vector<TextRow>& rows,
                ResultSink& sink) {
  require_head(model, EncoderHeadKind::kToken);
  TerminalProgress progress;
  progress.begin("classify", rows.size(), "text");
  std::optional<JsonList> list;
  if (options.json) list.emplace(sink, ordered_json{{"labels", model.traits().head.labels}}, "results");
  for_each_batch(rows, [&](size_t first, std::span<const TextRow> batch) {
    const auto logits =
        model.token_logits(encoder_texts(batch), [&](size_t done) { progress.advance(done); });
    for (size_t i = 0; i < batch.size(); ++i) {
      const ordered_json tokens = label_tokens(model, batch[i], logits[i]);
      if (list)
        list->add(one_line({{"text", batch[i].text}, {"tokens", tokens}}));
      else
        sink.write(one_line({{"index", first + i}, {"tokens", tokens}}) + "\n");
    }
  });
  progress.end();
  if (list) list->end();
}

void run_texts(const Options& options, const std::string& format, EncoderModel& model,
               const std::vector<TextRow>& rows, ResultSink& sink) {
  require_head(model, EncoderHeadKind::kSequence);
  const auto truth = true_labels(
      options, rows, options.is_zero_shot() ? split_labels(options.labels) : model.traits().head.labels);
  TerminalProgress progress;
  progress.begin("classify", rows.size(), "text");
  const auto advance = [&](size_t done) { progress.advance(done); };
  std::optional<JsonList> list;
  int64_t right = 0;
  for_each_batch(rows, [&](size_t first, std::span<const TextRow> batch) {
    const Answers answers = options.is_zero_shot() ? classify_by_hypotheses(options, model, batch, advance)
                                                   : classify_by_head(model, batch, advance);
    if (first == 0 && options.json)
      list.emplace(sink, ordered_json{{"labels", answers.labels}, {"exclusive", answers.exclusive}},
                   "results");
    if (first == 0 && !options.json && format == "csv") write_csv_header(answers, sink);
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!truth.empty()) right += answers.label(i) == truth[first + i] ? 1 : 0;
      if (list)
        list->add(one_line(result_json(batch[i], answers, i)));
      else if (format == "csv")
        write_csv_row(first + i, answers, i, sink);
      else
        write_line(batch[i], first + i, answers, i, sink);
    }
  });
  progress.end();
  if (options.is_zero_shot() && find_entailment(model.traits().head.labels).guessed)
    fmt::print(stderr, "no label of this model begins with \"entail\": the last one, {}, is taken for it\n",
               model.traits().head.labels.back());
  const auto accuracy =
      truth.empty() ? std::optional<Estimate>{} : wilson_share(right, static_cast<int64_t>(rows.size()));
  if (list) list->end(accuracy ? ordered_json{{"accuracy", to_json(*accuracy)}} : ordered_json::object());
  if (accuracy)
    fmt::print(stderr, "accuracy {:.4f} (95 % interval {:.4f} to {:.4f}, {} texts)\n", accuracy->value,
               accuracy->low, accuracy->high, accuracy->n);
}

void check_usage(const Options& options) {
  if (options.json && !options.output.empty()) throw UsageError("give either --json or -o");
  if (options.tokens && options.is_zero_shot())
    throw UsageError("--tokens and --labels contradict each other");
  if (options.multi_label && !options.is_zero_shot()) throw UsageError("--multi-label belongs to --labels");
  if (options.is_zero_shot() &&
      (options.input.pair || !options.input.pair_field.empty() || !options.input.pair_column.empty()))
    throw UsageError("with --labels the second text is the template's; leave --pair out");
  if (options.is_zero_shot())
    fill_hypotheses({split_labels(options.labels), options.hypothesis, options.multi_label});
}

int run_classify(const Options& options) {
  check_usage(options);
  const std::string format = result_format(options.output, kFormats);
  if (options.tokens && format == "csv") throw UsageError("labels of tokens are written as .jsonl");
  const std::vector<TextRow> rows = options.input.read();
  EncoderModel model(expand_path(options.path), options.run.engine());
  ResultSink sink(options.output, options.overwrite);  // refuses an existing file before the work
  if (options.tokens)
    run_tokens(options, model, rows, sink);
  else
    run_texts(options, format, model, rows, sink);
  sink.commit();
  return 0;
}

}  // namespace

RunVerb declare_classify(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("path", options->path,
                  "checkpoint of a classifier, int8, int4, MLX or npz directory, or GGUF file")
      ->required();
  options->input.declare(command, true);
  command.add_option("--labels", options->labels,
                     "labels of your own, joined by commas: the model must judge entailment");
  command.add_option("--template", options->hypothesis, "what a label of your own is put into")
      ->capture_default_str();
  command.add_flag("--multi-label", options->multi_label, "labels of your own do not exclude each other");
  command.add_flag("--tokens", options->tokens, "label every token, with a model for that");
  command.add_option("-o,--output", options->output, "file for the results: .jsonl or .csv");
  command.add_flag("--overwrite", options->overwrite, "replace an existing file");
  command.add_flag("--json", options->json, "print one JSON document");
  options->run.declare(command);
  add_examples(
      command,
      "  assay classify out/int8 --text \"What a wonderful film.\" --json\n"
      "  assay classify out/int8 --file reviews.csv --column review --label-field stars -o answers.csv\n"
      "  assay classify models/reranker --text \"what is a crate\" --pair \"A crate is a package.\"\n"
      "  assay classify models/mnli --text \"The engine failed.\" --labels travel,repair,cooking");
  return [options] { return run_classify(*options); };
}

}  // namespace assay
