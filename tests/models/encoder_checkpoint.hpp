#pragma once
#include <cstring>
#include <fstream>
#include <map>

#include "base/error.hpp"
#include "io/safetensors.hpp"
#include "models/model_file.hpp"
#include "support/test_data.hpp"

namespace assay::test {

struct EncoderTensor {
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<std::byte> bytes;
};

inline EncoderTensor filled(DType dtype, Shape shape, float value = 0.5f) {
  const auto count = static_cast<size_t>(count_elements(shape));
  EncoderTensor tensor{dtype, std::move(shape), std::vector<std::byte>(count * dtype_bytes(dtype))};
  if (dtype == DType::kF32)
    for (size_t i = 0; i < count; ++i) std::memcpy(tensor.bytes.data() + 4 * i, &value, 4);
  return tensor;
}

/// An encoder directory of constants that tests change before it is written.
struct EncoderCheckpoint {
  nlohmann::json config;
  std::map<std::string, EncoderTensor> tensors;

  explicit EncoderCheckpoint(nlohmann::json given) : config(std::move(given)) {
    const ModelConfig model = read_model_config(config, nullptr);
    for (const TensorSlot& slot : tensor_slots(find_architecture(config), model))
      tensors[slot.hf_name] = filled(DType::kF32, slot.shape);
  }

  /// A BERT of 2 layers; `head`: "Model", "ForSequenceClassification", …
  static EncoderCheckpoint bert(const std::string& head,
                                const nlohmann::json& more = nlohmann::json::object()) {
    nlohmann::json config = {
        {"model_type", "bert"},     {"architectures", {"Bert" + head}}, {"hidden_size", 64},
        {"intermediate_size", 128}, {"num_hidden_layers", 2},           {"num_attention_heads", 4},
        {"vocab_size", 50},         {"max_position_embeddings", 32},    {"type_vocab_size", 2}};
    config.update(more);
    return EncoderCheckpoint(std::move(config));
  }

  void rename(const std::string& from, const std::string& to) {
    auto node = tensors.extract(from);
    node.key() = to;
    tensors.insert(std::move(node));
  }

  /// Every tensor but those of heads gets `prefix` in front.
  void add_prefix(const std::string& prefix) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors)
      if (!name.starts_with("classifier") && !name.starts_with("qa_outputs")) names.push_back(name);
    for (const std::string& name : names) rename(name, prefix + name);
  }

  void write(const std::filesystem::path& folder) const {
    std::ofstream(folder / "config.json") << config.dump();
    std::vector<TensorSpec> specs;
    for (const auto& [name, tensor] : tensors) specs.push_back({name, tensor.dtype, tensor.shape});
    AtomicFile file(folder / "model.safetensors", true);
    SafetensorsWriter writer(file, specs, {});
    for (const auto& [name, tensor] : tensors) writer.write(tensor.bytes);
    writer.finish();
    file.commit();
  }

  /// Opens it and gives the Error's line, or "no error".
  std::string fault() const {
    const TemporaryFolder folder;
    write(folder.path());
    try {
      ModelFile::open(folder.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  /// Opens it and hands it to `look` while the files exist.
  template <class Look>
  void open(Look look) const {
    const TemporaryFolder folder;
    write(folder.path());
    look(ModelFile::open(folder.path()));
  }
};

inline void expect_words(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
}

}  // namespace assay::test
