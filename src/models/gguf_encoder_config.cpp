#include "models/gguf_encoder_config.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "models/architecture.hpp"
#include "models/gguf_fields.hpp"

// Keys: llama.cpp conversion/bert.py, src/llama-arch.cpp. Poolings: include/llama.h, llama_pooling_type.

namespace assay {
namespace {

constexpr const char* kFamily = "assay.encoder.architecture";
constexpr const char* kActivation = "assay.encoder.activation";
constexpr const char* kProblem = "assay.encoder.problem_type";
constexpr const char* kPooling = "bert.pooling_type";
constexpr const char* kLabels = "bert.classifier.output_labels";
constexpr const char* kNormalize = "assay.sentence.normalize";
constexpr const char* kLowercase = "assay.sentence.do_lower_case";
constexpr const char* kIncludePrompt = "assay.sentence.include_prompt";
constexpr const char* kPrompts = "assay.sentence.prompts";
constexpr const char* kDefaultPrompt = "assay.sentence.default_prompt_name";
constexpr const char* kSimilarity = "assay.sentence.similarity";
constexpr uint32_t kMean = 1, kCls = 2, kLast = 3, kRank = 4;

constexpr std::string_view kProblems[] = {"single_label_classification", "multi_label_classification",
                                          "regression"};

[[noreturn]] void refuse(std::string what, std::string expected, std::string found) {
  throw Error(Fault{std::move(what), "gguf", std::move(expected), std::move(found),
                    "int8, int4 or an mlx recipe keeps the model whole"});
}

ProblemKind read_problem(const GgufMetadata& metadata, size_t labels) {
  const std::string name = metadata.string_or(kProblem, std::string(kProblems[labels == 1 ? 2 : 0]));
  for (size_t i = 0; i < std::size(kProblems); ++i)
    if (kProblems[i] == name) return static_cast<ProblemKind>(i);
  fail_gguf_key(kProblem, "single_label_classification, multi_label_classification or regression", name);
}

/// DistilBERT's classifier has ReLU and no pooler; BERT's stands on its pooler, which has tanh.
void set_head(const GgufFile& file, ModelConfig& config) {
  EncoderHead& head = config.encoder->head;
  const bool has_dense = file.find("cls.weight") != nullptr;
  const GgufTensor* classifier = file.find("cls.output.weight");
  const bool distilbert = config.architecture == "distilbert";
  if (classifier != nullptr && !has_dense)
    throw Error(Fault{"a classifier that stands on the bare first row is not run here",
                      "cls.output.weight",
                      "cls.weight before it",
                      {},
                      "the converter left the pooler out?"});
  head.has_pooler = has_dense && !distilbert;
  if (classifier == nullptr) return;
  head.kind = EncoderHeadKind::kSequence;
  head.has_dense = distilbert;
  if (distilbert) head.dense_activation = Activation::kRelu;
  head.classifier_bias = file.find("cls.output.bias") != nullptr;
  // ggml drops a trailing dimension of 1, so one label is a row without a count.
  const int64_t labels = classifier->rows();
  if (file.metadata().find(kLabels) != nullptr) head.labels = file.metadata().strings(kLabels);
  if (head.labels.empty())
    for (int64_t id = 0; id < labels; ++id) head.labels.push_back("LABEL_" + std::to_string(id));
  if (static_cast<int64_t>(head.labels.size()) != labels)
    fail_gguf_key(kLabels, std::to_string(labels) + " labels", std::to_string(head.labels.size()));
  head.problem = read_problem(file.metadata(), head.labels.size());
}

}  // namespace

void check_gguf_encoder(const ModelConfig& config) {
  const EncoderTraits& traits = *config.encoder;
  if (config.architecture != "bert" && config.architecture != "distilbert")
    refuse("encoders of this family have no GGUF output yet", "bert or distilbert", config.architecture);
  if (traits.activation != Activation::kGeluErf && traits.activation != Activation::kGeluTanh)
    refuse("llama.cpp runs BERT with GELU alone", "gelu or gelu_new",
           std::string(activation_name(traits.activation)));
  if (traits.head.kind == EncoderHeadKind::kToken)
    refuse("llama.cpp has no head that labels tokens", "a sentence encoder or a classifier of texts",
           traits.head.answers_questions ? "question answering" : "token classification");
}

void write_gguf_encoder_config(const ModelConfig& config, GgufMetadata& metadata) {
  check_gguf_encoder(config);
  const EncoderTraits& traits = *config.encoder;
  const auto set_u32 = [&](const char* key, int64_t value) {
    if (value < 0 || value > UINT32_MAX) fail_gguf_key(key, "a number of 32 bits", std::to_string(value));
    metadata.set(key, GgufValue::u32(static_cast<uint32_t>(value)));
  };
  set_u32("bert.block_count", config.n_layers);
  set_u32("bert.context_length", config.max_context);
  set_u32("bert.embedding_length", config.hidden_dim);
  set_u32("bert.feed_forward_length", config.ffn_dim);
  set_u32("bert.attention.head_count", config.n_heads);
  metadata.set("bert.attention.layer_norm_epsilon", GgufValue::f32(static_cast<float>(config.norm_eps)));
  metadata.set("bert.attention.causal", GgufValue::boolean(false));
  // llama.cpp refuses a model without; DistilBERT, which has no such table, counts as one type.
  set_u32("tokenizer.ggml.token_type_count", std::max<int64_t>(traits.type_rows, 1));
  if (traits.head.kind == EncoderHeadKind::kSequence) {
    metadata.set(kPooling, GgufValue::u32(kRank));
    metadata.set(kLabels, GgufValue::strings(traits.head.labels));
    metadata.set(kProblem,
                 GgufValue::string(std::string(kProblems[static_cast<size_t>(traits.head.problem)])));
  }
  metadata.set(kFamily, GgufValue::string(config.architecture));
  metadata.set(kActivation,
               GgufValue::string(traits.activation == Activation::kGeluErf ? "gelu" : "gelu_new"));
}

ModelConfig read_gguf_encoder_config(const GgufMetadata& metadata) {
  ModelConfig model;
  model.architecture = metadata.string_or(kFamily, "bert");
  model.n_layers = read_gguf_dimension(metadata, "bert.block_count");
  if (model.n_layers > 4096)
    fail_gguf_key("bert.block_count", "at most 4096", std::to_string(model.n_layers));
  model.hidden_dim = read_gguf_dimension(metadata, "bert.embedding_length");
  model.ffn_dim = read_gguf_dimension(metadata, "bert.feed_forward_length");
  model.max_context = read_gguf_dimension(metadata, "bert.context_length");
  model.n_heads = model.n_kv_heads = read_gguf_dimension(metadata, "bert.attention.head_count");
  if (model.hidden_dim % model.n_heads != 0)
    fail_gguf_key("bert.attention.head_count", "a divisor of " + std::to_string(model.hidden_dim),
                  std::to_string(model.n_heads));
  model.head_dim = model.hidden_dim / model.n_heads;
  // The float nearest to 1e-12 is not 1e-12; both name the same norm.
  model.norm_eps = read_gguf_norm_eps(metadata, "bert.attention.layer_norm_epsilon");
  model.tied_embeddings = false;
  EncoderTraits traits;
  traits.position_rows = model.max_context;
  traits.layers.assign(static_cast<size_t>(model.n_layers), {});
  traits.activation = activation_from_config(metadata.string_or(kActivation, "gelu"));
  const int64_t pad = metadata.integer_or("tokenizer.ggml.padding_token_id", 0);
  if (pad < 0 || pad > INT32_MAX)
    fail_gguf_key("tokenizer.ggml.padding_token_id", "a token id", std::to_string(pad));
  traits.pad_id = static_cast<int32_t>(pad);
  model.encoder = std::move(traits);
  // Also holds a damaged family to the list of those that are written.
  check_gguf_encoder(model);
  return model;
}

void complete_gguf_encoder_config(const GgufFile& file, ModelConfig& config) {
  const GgufTensor* words = file.find("token_embd.weight");
  if (words != nullptr) config.vocab_size = words->rows();
  const GgufTensor* types = file.find("token_types.weight");
  config.encoder->type_rows = types == nullptr ? 0 : types->rows();
  // The converter calls DistilBERT bert too; it is the one without types, and its head has another
  // activation.
  if (types == nullptr && file.metadata().find(kFamily) == nullptr) config.architecture = "distilbert";
  set_head(file, config);
}

void write_gguf_sentence_modules(const SentenceModules& modules, GgufMetadata& metadata) {
  if (!modules.declared) return;
  if (!modules.dense.empty())
    refuse("llama.cpp has no Dense module behind a BERT's pooling", "pooling and normalization alone",
           std::to_string(modules.dense.size()) + " in modules.json");
  const PoolingModes& modes = modules.pooling;
  if (modes.count() != 1 || !(modes.mean || modes.cls || modes.last_token))
    refuse("llama.cpp does not have this pooling", "mean, cls or lasttoken", pooling_name(modes));
  // A classifier pools by its head, whatever else lies in the folder.
  if (metadata.find(kPooling) == nullptr)
    metadata.set(kPooling, GgufValue::u32(modes.mean ? kMean : modes.cls ? kCls : kLast));
  metadata.set(kNormalize, GgufValue::boolean(modules.normalize));
  metadata.set(kLowercase, GgufValue::boolean(modules.lowercase));
  if (!modules.include_prompt) metadata.set(kIncludePrompt, GgufValue::boolean(false));
  metadata.set(kSimilarity, GgufValue::string(modules.similarity));
  if (modules.max_seq_length)
    metadata.set(kGgufMaxLength, GgufValue::u32(static_cast<uint32_t>(*modules.max_seq_length)));
  if (!modules.prompts.empty())
    metadata.set(kPrompts, GgufValue::string(nlohmann::json(modules.prompts).dump()));
  if (!modules.default_prompt_name.empty())
    metadata.set(kDefaultPrompt, GgufValue::string(modules.default_prompt_name));
}

SentenceModules read_gguf_sentence_modules(const GgufMetadata& metadata) {
  SentenceModules modules;
  const int64_t pooling = metadata.integer_or(kPooling, 0);
  modules.declared = pooling >= kMean && pooling <= kLast;
  if (modules.declared) {
    modules.pooling = {};
    (pooling == kMean  ? modules.pooling.mean
     : pooling == kCls ? modules.pooling.cls
                       : modules.pooling.last_token) = true;
  }
  modules.normalize = metadata.boolean_or(kNormalize, false);
  modules.lowercase = metadata.boolean_or(kLowercase, false);
  modules.include_prompt = metadata.boolean_or(kIncludePrompt, true);
  modules.similarity = metadata.string_or(kSimilarity, modules.similarity);
  if (const int64_t length = metadata.integer_or(kGgufMaxLength, 0); length > 0)
    modules.max_seq_length = length;
  modules.default_prompt_name = metadata.string_or(kDefaultPrompt, "");
  const nlohmann::json prompts = nlohmann::json::parse(metadata.string_or(kPrompts, "{}"), nullptr, false);
  if (!prompts.is_object()) fail_gguf_key(kPrompts, "a JSON object of texts", "something else");
  for (const auto& [name, prompt] : prompts.items()) {
    if (!prompt.is_string()) fail_gguf_key(kPrompts, "a JSON object of texts", "another type at " + name);
    modules.prompts[name] = prompt.get<std::string>();
  }
  return modules;
}

}  // namespace assay
