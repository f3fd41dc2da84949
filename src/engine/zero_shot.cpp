#include "engine/zero_shot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace assay {
namespace {

bool begins_with_entail(const std::string& label) {
  constexpr std::string_view kWord = "entail";
  return label.size() >= kWord.size() &&
         std::equal(kWord.begin(), kWord.end(), label.begin(),
                    [](char word, char c) { return word == (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
}

void require_entailment_head(const EncoderModel& model) {
  const EncoderHead& head = model.traits().head;
  if (head.kind == EncoderHeadKind::kSequence && head.labels.size() >= 2) return;
  throw Error({"this model cannot judge labels it was not trained on",
               model.file().path().string(),
               "a classifier of entailment and contradiction",
               head.kind == EncoderHeadKind::kSequence ? fmt::format("{} label", head.labels.size())
                                                       : "no sequence classifier",
               {}});
}

}  // namespace

EntailmentColumns find_entailment(std::span<const std::string> labels) {
  EntailmentColumns columns;
  const auto found = std::find_if(labels.begin(), labels.end(), begins_with_entail);
  columns.guessed = found == labels.end();
  // -1 in the source, which Python counts from the end.
  columns.entailment =
      columns.guessed ? labels.size() - 1 : static_cast<size_t>(std::distance(labels.begin(), found));
  columns.contradiction = columns.entailment == 0 ? labels.size() - 1 : 0;
  return columns;
}

std::vector<std::string> fill_hypotheses(const ZeroShotOptions& options) {
  if (options.labels.empty()) throw UsageError("no labels to choose from");
  const size_t at = options.hypothesis.find("{}");
  if (at == std::string::npos || options.hypothesis.find("{}", at + 2) != std::string::npos)
    throw UsageError({"the template must hold {} once, where the label goes",
                      {},
                      "e.g. \"This example is {}.\"",
                      fmt::format("\"{}\"", options.hypothesis),
                      {}});
  std::vector<std::string> hypotheses;
  for (const std::string& label : options.labels)
    hypotheses.push_back(std::string(options.hypothesis).replace(at, 2, label));
  return hypotheses;
}

std::vector<double> score_candidates(std::span<const std::vector<float>> logits,
                                     const EntailmentColumns& columns, bool multi_label) {
  std::vector<double> scores;
  if (multi_label || logits.size() == 1) {
    for (const std::vector<float>& row : logits)
      scores.push_back(1.0 / (1.0 + std::exp(double{row[columns.contradiction]} - row[columns.entailment])));
    return scores;
  }
  double most = -INFINITY, sum = 0.0;
  for (const std::vector<float>& row : logits) most = std::max(most, double{row[columns.entailment]});
  for (const std::vector<float>& row : logits)
    sum += scores.emplace_back(std::exp(double{row[columns.entailment]} - most));
  for (double& score : scores) score /= sum;
  return scores;
}

std::vector<std::vector<double>> classify_zero_shot(EncoderModel& model, std::span<const std::string> texts,
                                                    const ZeroShotOptions& options,
                                                    const EncoderModel::Advance& advance) {
  require_entailment_head(model);
  const std::vector<std::string> hypotheses = fill_hypotheses(options);
  const PairOptions pairing{.max_length = model.max_length(), .strategy = TruncationStrategy::kOnlyFirst};
  std::vector<Encoding> encodings;
  encodings.reserve(texts.size() * hypotheses.size());
  for (const std::string& text : texts)
    for (const std::string& hypothesis : hypotheses)
      encodings.push_back(model.tokenizer().encode_pair(text, hypothesis, pairing));
  std::vector<std::vector<float>> logits(encodings.size());
  std::vector<size_t> open(texts.size(), hypotheses.size());
  model.encoder().sequence_logits(encodings, [&](size_t index, std::span<const float> row) {
    logits[index].assign(row.begin(), row.end());
    if (--open[index / hypotheses.size()] == 0 && advance) advance(1);
  });
  const EntailmentColumns columns = find_entailment(model.traits().head.labels);
  std::vector<std::vector<double>> results;
  for (size_t i = 0; i < texts.size(); ++i)
    results.push_back(score_candidates(std::span(logits).subspan(i * hypotheses.size(), hypotheses.size()),
                                       columns, options.multi_label));
  return results;
}

}  // namespace assay
