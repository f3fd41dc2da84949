#include "cli/batch_accuracy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/text_rows.hpp"
#include "eval/encoder_evaluation.hpp"

namespace assay {
namespace {

struct LabelledTexts {
  std::string where;
  std::vector<TextRow> rows;
};

LabelledTexts read_labelled_texts(const std::filesystem::path& file) {
  const TextInput input{.texts = {},
                        .pair = {},
                        .file = {},
                        .format = {},
                        .pair_field = "pair",
                        .column = {},
                        .pair_column = {},
                        .label_field = "label",
                        .may_lack_pair = true};
  LabelledTexts result{file.string(),
                       read_text_rows(read_text_file(file), TextFormat::kJsonl, input, file.string())};
  if (result.rows.empty()) throw Error(Fault{"no labelled texts", result.where, {}, {}, {}});
  return result;
}

double share_right(const std::filesystem::path& model_path, const LabelledTexts& texts, int threads) {
  EncoderModel model(model_path, {.threads = threads, .compute = Compute::kExact});
  if (model.traits().head.kind != EncoderHeadKind::kSequence)
    throw Error(
        Fault{"no classifier, so no accuracy", model_path.string(), "a model with a sequence head", {}, {}});
  std::vector<int64_t> truth;  // before the model runs, so that a wrong label costs nothing
  for (const TextRow& row : texts.rows)
    truth.push_back(label_number(row.label.value_or(""), model.traits().head.labels,
                                 fmt::format("{}:{}", texts.where, row.line)));
  const std::vector<std::vector<float>> logits = model.logits(encoder_texts(texts.rows));
  size_t right = 0;
  for (size_t i = 0; i < logits.size(); ++i)
    right += std::max_element(logits[i].begin(), logits[i].end()) - logits[i].begin() == truth[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(logits.size());
}

}  // namespace

MeasureAccuracy accuracy_on(const std::filesystem::path& file, int threads) {
  const auto texts = std::make_shared<const LabelledTexts>(read_labelled_texts(file));
  return [texts, threads](const std::filesystem::path& checkpoint, const std::filesystem::path& output) {
    return AccuracyChange{share_right(checkpoint, *texts, threads), share_right(output, *texts, threads),
                          texts->rows.size()};
  };
}

}  // namespace assay
