#pragma once
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/rng.hpp"
#include "io/safetensors.hpp"
#include "models/model_file.hpp"
#include "support/test_data.hpp"

namespace assay::test {

/// Writes F32 tensors into one safetensors file.
inline void write_floats(const std::filesystem::path& path,
                         const std::map<std::string, std::pair<Shape, std::vector<float>>>& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) specs.push_back({name, DType::kF32, tensor.first});
  AtomicFile file(path, true);
  SafetensorsWriter writer(file, specs, {});
  for (const auto& [name, tensor] : tensors) writer.write(std::as_bytes(std::span(tensor.second)));
  writer.finish();
  file.commit();
}

/// A random llama checkpoint with 256-wide rows, in F32, and a byte-level tokenizer of 320 pieces.
/// `change` may plant faults in the weights before they are written.
using Tensors = std::map<std::string, std::pair<Shape, std::vector<float>>>;
inline void write_tiny_checkpoint(const std::filesystem::path& folder,
                                  const std::function<void(Tensors&)>& change = {}) {
  const nlohmann::json config = {
      {"model_type", "llama"},  {"hidden_size", 256},       {"intermediate_size", 512},
      {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
      {"vocab_size", 320},      {"torch_dtype", "float32"}, {"tie_word_embeddings", false},
      {"bos_token_id", 0},      {"eos_token_id", 1}};
  std::ofstream(folder / "config.json") << config.dump();
  Rng rng(7);
  Tensors tensors;
  for (const TensorSlot& slot :
       tensor_slots(architecture_named("llama"), read_model_config(config, nullptr))) {
    std::vector<float> values(static_cast<size_t>(count_elements(slot.shape)));
    for (float& value : values) value = static_cast<float>(0.05 * rng.normal());
    tensors[slot.hf_name] = {slot.shape, std::move(values)};
  }
  if (change) change(tensors);
  write_floats(folder / "model.safetensors", tensors);
  std::filesystem::copy_file(source_file("tests/convert/tokenizer.json"), folder / "tokenizer.json");
}

}  // namespace assay::test
