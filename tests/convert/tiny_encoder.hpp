#pragma once
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "convert/tiny_checkpoint.hpp"

namespace assay::test {

inline void write_json(const std::filesystem::path& path, const nlohmann::json& value) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << value.dump(1);
}

/// DistilBERT with a head of three labels. Rows of ffn.lin2 have 96 columns, which no group of 64 divides.
inline nlohmann::json tiny_distilbert_config() {
  return {{"model_type", "distilbert"},
          {"architectures", {"DistilBertForSequenceClassification"}},
          {"dim", 64},
          {"hidden_dim", 96},
          {"n_layers", 2},
          {"n_heads", 4},
          {"vocab_size", 320},
          {"max_position_embeddings", 48},
          {"activation", "gelu"},
          {"pad_token_id", 0},
          {"id2label", {{"0", "entailment"}, {"1", "neutral"}, {"2", "contradiction"}}},
          {"label2id", {{"entailment", 0}, {"neutral", 1}, {"contradiction", 2}}}};
}

/// A sentence encoder without a head.
inline nlohmann::json tiny_bert_config() {
  return {{"model_type", "bert"},     {"architectures", {"BertModel"}}, {"hidden_size", 64},
          {"intermediate_size", 128}, {"num_hidden_layers", 2},         {"num_attention_heads", 4},
          {"vocab_size", 320},        {"max_position_embeddings", 48},  {"type_vocab_size", 2},
          {"hidden_act", "gelu"},     {"layer_norm_eps", 1e-12},        {"pad_token_id", 0}};
}

/// Random F32 weights under the names that the architecture gives them, and a tokenizer of 320 pieces.
/// `change` may plant faults in the weights before they are written.
inline void write_tiny_encoder(const std::filesystem::path& folder, const nlohmann::json& config,
                               const std::function<void(Tensors&)>& change = {}) {
  write_json(folder / "config.json", config);
  Rng rng(11);
  Tensors tensors;
  const ModelConfig model = read_model_config(config, nullptr);
  for (const TensorSlot& slot : tensor_slots(find_architecture(config), model)) {
    std::vector<float> values(static_cast<size_t>(count_elements(slot.shape)));
    for (float& value : values) value = static_cast<float>(0.05 * rng.normal());
    tensors[slot.hf_name] = {slot.shape, std::move(values)};
  }
  if (change) change(tensors);
  write_floats(folder / "model.safetensors", tensors);
  std::filesystem::copy_file(source_file("tests/convert/tokenizer.json"), folder / "tokenizer.json");
  write_json(folder / "special_tokens_map.json", {{"pad_token", "[PAD]"}});
}

/// The files of sentence-transformers: mean pooling, a Dense module with weights of its own, normalization.
inline void write_sentence_files(const std::filesystem::path& folder) {
  const auto module = [](int index, const char* path, const char* kind) {
    return nlohmann::json{{"idx", index},
                          {"name", std::to_string(index)},
                          {"path", path},
                          {"type", std::string("sentence_transformers.models.") + kind}};
  };
  write_json(folder / "modules.json", {module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling"),
                                       module(2, "2_Dense", "Dense"), module(3, "3_Normalize", "Normalize")});
  write_json(folder / "1_Pooling/config.json",
             {{"word_embedding_dimension", 64}, {"pooling_mode_mean_tokens", true}});
  write_json(folder / "2_Dense/config.json", {{"in_features", 64},
                                              {"out_features", 32},
                                              {"bias", true},
                                              {"activation_function", "torch.nn.modules.activation.Tanh"}});
  write_floats(folder / "2_Dense/model.safetensors",
               {{"linear.weight", {{32, 64}, std::vector<float>(32 * 64, 0.125f)}},
                {"linear.bias", {{32}, std::vector<float>(32, 0.5f)}}});
  write_json(folder / "sentence_bert_config.json", {{"max_seq_length", 40}, {"do_lower_case", false}});
  write_json(folder / "config_sentence_transformers.json", {{"prompts", {{"query", "query: "}}}});
}

}  // namespace assay::test
