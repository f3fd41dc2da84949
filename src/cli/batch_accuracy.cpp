#include "cli/batch_accuracy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "engine/encoder_model.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

struct LabelledTexts {
  std::string where;
  std::vector<EncoderText> texts;
  std::vector<nlohmann::json> labels;  ///< a name or a number
};

LabelledTexts read_labelled_texts(const std::filesystem::path& file) {
  LabelledTexts result;
  result.where = file.string();
  const std::string all = read_text_file(file);
  size_t number = 0;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    const std::string line = all.substr(begin, end - begin);
    const std::string where = fmt::format("{}:{}", result.where, ++number);
    begin = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const nlohmann::json row = parse_json(line, where);
    const auto is_text = [&](const char* key) { return row.contains(key) && row[key].is_string(); };
    const bool labelled = row.is_object() && row.contains("label") &&
                          (row["label"].is_string() || row["label"].is_number_integer());
    if (!labelled || !is_text("text") || (row.contains("pair") && !is_text("pair")))
      throw Error(Fault{"not a labelled text", where, R"({"text": "…", "label": "…"})", {}, {}});
    EncoderText text{row["text"].get<std::string>()};
    if (row.contains("pair")) text.pair = row["pair"].get<std::string>();
    result.texts.push_back(std::move(text));
    result.labels.push_back(row["label"]);
  }
  if (result.texts.empty()) throw Error(Fault{"no labelled texts", result.where, {}, {}, {}});
  return result;
}

/// The number of a label in the model's own order.
size_t label_index(const nlohmann::json& label, const std::vector<std::string>& known,
                   const std::string& where) {
  if (label.is_number_integer()) {
    const auto index = label.get<int64_t>();
    if (index >= 0 && index < static_cast<int64_t>(known.size())) return static_cast<size_t>(index);
  } else if (const auto found = std::find(known.begin(), known.end(), label.get<std::string>());
             found != known.end()) {
    return static_cast<size_t>(found - known.begin());
  }
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
  throw Error(Fault{"the model has no such label", where, names, label.dump(), {}});
}

double share_right(const std::filesystem::path& model_path, const LabelledTexts& texts, int threads) {
  EncoderModel model(model_path, {.threads = threads, .compute = Compute::kExact});
  if (model.traits().head.kind != EncoderHeadKind::kSequence)
    throw Error(
        Fault{"no classifier, so no accuracy", model_path.string(), "a model with a sequence head", {}, {}});
  const std::vector<std::vector<float>> logits = model.logits(texts.texts);
  size_t right = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto best = std::max_element(logits[i].begin(), logits[i].end()) - logits[i].begin();
    right +=
        static_cast<size_t>(best) == label_index(texts.labels[i], model.traits().head.labels, texts.where);
  }
  return static_cast<double>(right) / static_cast<double>(logits.size());
}

}  // namespace

MeasureAccuracy accuracy_on(const std::filesystem::path& file, int threads) {
  const auto texts = std::make_shared<const LabelledTexts>(read_labelled_texts(file));
  return [texts, threads](const std::filesystem::path& checkpoint, const std::filesystem::path& output) {
    return AccuracyChange{share_right(checkpoint, *texts, threads), share_right(output, *texts, threads),
                          texts->texts.size()};
  };
}

}  // namespace assay
