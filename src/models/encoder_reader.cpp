#include "models/encoder_reader.hpp"

#include <charconv>
#include <map>

#include "base/error.hpp"

namespace assay {
namespace {

using nlohmann::json;

// Far above any encoder, far below where a product of two of them could overflow.
constexpr int64_t kMaxLayers = 4096, kMaxWidth = int64_t{1} << 22, kMaxHeads = int64_t{1} << 16,
                  kMaxVocab = int64_t{1} << 26, kMaxPositions = int64_t{1} << 26, kMaxLabels = 1 << 22;

int64_t parse_label_id(const ConfigFields& fields, const std::string& key) {
  int64_t id = -1;
  const auto [end, fault] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (fault != std::errc() || end != key.data() + key.size() || id < 0)
    fields.fail("id2label", "ids from 0 on", "\"" + key + "\" is none");
  return id;
}

/// transformers configuration_utils.py: id2label decides; num_labels counts only without it; 2 without both.
std::vector<std::string> read_labels(const ConfigFields& fields) {
  const json& names = fields.at("id2label");
  if (names.is_null()) {
    const int64_t count = fields.has("num_labels") ? fields.dimension("num_labels", kMaxLabels) : 2;
    std::vector<std::string> labels;
    for (int64_t id = 0; id < count; ++id) labels.push_back("LABEL_" + std::to_string(id));
    return labels;
  }
  if (!names.is_object() || names.empty()) fields.fail("id2label", "an object of at least one label");
  // As numbers: in the order of their text "10" comes before "2".
  std::map<int64_t, std::string> by_id;
  for (const auto& [key, name] : names.items()) {
    const int64_t id = parse_label_id(fields, key);
    by_id[id] = name.is_string() ? name.get<std::string>() : name.dump();
  }
  const auto count = static_cast<int64_t>(names.size());
  if (static_cast<int64_t>(by_id.size()) != count || by_id.rbegin()->first != count - 1)
    fields.fail("id2label", "every id from 0 to " + std::to_string(count - 1) + " once");
  std::vector<std::string> labels;
  for (auto& [id, name] : by_id) labels.push_back(std::move(name));
  return labels;
}

/// transformers modeling_bert.py, BertForSequenceClassification.forward: one label means regression.
ProblemKind read_problem(const ConfigFields& fields, size_t labels) {
  const std::string problem = fields.string_or("problem_type", "");
  if (problem == "multi_label_classification") return ProblemKind::kMultiLabel;
  if (problem == "regression" || labels == 1) return ProblemKind::kRegression;
  if (!problem.empty() && problem != "single_label_classification")
    fields.fail("problem_type", "regression, single_label_classification or multi_label_classification");
  return ProblemKind::kSingleLabel;
}

std::string announced_class(const ConfigFields& fields) {
  const json& list = fields.at("architectures");
  if (list.is_null() || (list.is_array() && list.empty())) return {};
  if (!list.is_array() || !list[0].is_string()) fields.fail("architectures", "a list of class names");
  return list[0].get<std::string>();
}

void require_absolute_positions(const ConfigFields& fields) {
  if (fields.string_or("position_embedding_type", "absolute") != "absolute")
    fields.fail("position_embedding_type", "\"absolute\"", "relative keys are another attention");
  if (fields.boolean_or("is_decoder", false) || fields.boolean_or("add_cross_attention", false))
    fields.fail("is_decoder", "false", "a decoder attends otherwise");
}

}  // namespace

Activation read_activation(const ConfigFields& fields, std::string_view key, std::string_view fallback) {
  try {
    return activation_from_config(fields.string_or(key, std::string(fallback)));
  } catch (const Error& error) {
    fields.fail(key, error.fault().expected, error.fault().cause);
  }
}

ModelConfig read_encoder_config(const json& config, std::string_view architecture, const EncoderKeys& keys) {
  const ConfigFields fields(config);
  require_absolute_positions(fields);
  ModelConfig model;
  model.architecture = architecture;
  model.n_layers = fields.dimension(keys.layers, kMaxLayers);
  model.hidden_dim = fields.dimension(keys.hidden, kMaxWidth);
  model.ffn_dim = fields.dimension(keys.ffn, kMaxWidth);
  model.vocab_size = fields.dimension("vocab_size", kMaxVocab);
  model.n_heads = model.n_kv_heads = fields.dimension(keys.heads, kMaxHeads);
  if (model.hidden_dim % model.n_heads != 0)
    fields.fail(keys.hidden, "a multiple of " + std::to_string(model.n_heads) + " heads");
  model.head_dim = model.hidden_dim / model.n_heads;
  model.norm_eps = fields.number_or(keys.eps, keys.default_eps);
  if (!(model.norm_eps >= 0.0 && model.norm_eps < 1.0)) fields.fail(keys.eps, "a number from 0 to below 1");
  model.tied_embeddings = false;  // there is no output head to tie
  EncoderTraits traits;
  traits.activation = read_activation(fields, keys.activation, "gelu");
  traits.layers.assign(static_cast<size_t>(model.n_layers), {});
  const int64_t pad = fields.integer_or("pad_token_id", keys.default_pad_id);
  if (pad < 0 || pad > INT32_MAX) fields.fail("pad_token_id", "a token id");
  traits.pad_id = static_cast<int32_t>(pad);
  traits.head = read_encoder_head(config);
  model.encoder = std::move(traits);
  return model;
}

void read_position_table(const ConfigFields& fields, int64_t offset, ModelConfig& model) {
  EncoderTraits& traits = *model.encoder;
  traits.position_rows = fields.dimension("max_position_embeddings", kMaxPositions);
  traits.position_offset = offset;
  model.max_context = traits.position_rows - offset;
  if (model.max_context < 1)
    fields.fail("max_position_embeddings", "more than the " + std::to_string(offset) + " rows before a text");
}

EncoderHead read_encoder_head(const json& config) {
  const ConfigFields fields(config);
  const std::string name = announced_class(fields);
  EncoderHead head;
  if (name.ends_with("ForSequenceClassification")) {
    head.kind = EncoderHeadKind::kSequence;
    head.labels = read_labels(fields);
    head.problem = read_problem(fields, head.labels.size());
  } else if (name.ends_with("ForTokenClassification")) {
    head.kind = EncoderHeadKind::kToken;
    head.labels = read_labels(fields);
  } else if (name.ends_with("ForQuestionAnswering")) {
    head.kind = EncoderHeadKind::kToken;
    head.answers_questions = true;
    head.labels = {"start", "end"};
    if (read_labels(fields).size() != 2)
      fields.fail("id2label", "two labels, where an answer starts and ends");
  } else if (name.ends_with("ForMultipleChoice") || name.ends_with("ForCausalLM") ||
             name.ends_with("LMHeadModel")) {
    fields.fail("architectures", "a model, a sequence or token classifier, or question answering");
  }
  return head;
}

}  // namespace assay
