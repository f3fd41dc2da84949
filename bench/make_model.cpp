// Writes a random checkpoint of a real model's shape, streamed: what conversion and speed are measured on.
//   make_model SHAPE OUT_DIR TOKENIZER_DIR [--sparse]      SHAPE: llama-3.2-1b, qwen3-0.6b, qwen3-8b
// --sparse: all weights are zeros that take no room on the disk: enough where only sizes matter.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/half.hpp"
#include "base/rng.hpp"
#include "io/safetensors.hpp"
#include "models/architecture.hpp"

namespace {
using namespace assay;
namespace fs = std::filesystem;

struct RealShape {
  const char* name;
  const char* config;  ///< from the model's own config.json on the hub
};

constexpr RealShape kShapes[] = {
    {"llama-3.2-1b", R"({"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":2048,
      "intermediate_size":8192,"num_hidden_layers":16,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":64,
      "vocab_size":128256,"max_position_embeddings":131072,"rms_norm_eps":1e-5,"rope_theta":500000.0,
      "rope_scaling":{"rope_type":"llama3","factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,
      "original_max_position_embeddings":8192},"tie_word_embeddings":true,"torch_dtype":"bfloat16"})"},
    {"qwen3-0.6b", R"({"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"hidden_size":1024,
      "intermediate_size":3072,"num_hidden_layers":28,"num_attention_heads":16,"num_key_value_heads":8,"head_dim":128,
      "vocab_size":151936,"max_position_embeddings":40960,"rms_norm_eps":1e-6,"rope_theta":1000000,
      "tie_word_embeddings":true,"torch_dtype":"bfloat16"})"},
    {"qwen3-8b", R"({"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"hidden_size":4096,
      "intermediate_size":12288,"num_hidden_layers":36,"num_attention_heads":32,"num_key_value_heads":8,"head_dim":128,
      "vocab_size":151936,"max_position_embeddings":40960,"rms_norm_eps":1e-6,"rope_theta":1000000,
      "tie_word_embeddings":false,"torch_dtype":"bfloat16"})"},
};

/// About normal with the given deviation: the sum of four 16-bit uniforms of one draw.
float bell(Rng& rng, float deviation) {
  const uint64_t bits = rng.next();
  const auto sum =
      static_cast<float>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
  constexpr float kDeviation = 37837.2f;  // of the sum: 65536 * sqrt(4 / 12)
  return (sum - 131070.0f) / kDeviation * deviation;
}

void write_tensor(SafetensorsWriter& writer, const TensorSpec& spec, Rng& rng) {
  const bool norm = spec.shape.size() == 1;
  std::vector<uint16_t> chunk;
  for (int64_t left = count_elements(spec.shape); left > 0; left -= static_cast<int64_t>(chunk.size())) {
    chunk.resize(static_cast<size_t>(std::min<int64_t>(left, 1 << 20)));
    for (uint16_t& value : chunk) value = bf16_from_float(norm ? 1.0f + bell(rng, 0.05f) : bell(rng, 0.02f));
    writer.write(std::as_bytes(std::span(chunk)));
  }
}

/// All tensors, or the header alone and a hole where they would be.
void write_weights(const fs::path& path, const std::vector<TensorSpec>& specs, bool sparse) {
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  AtomicFile file(path, false);
  SafetensorsWriter writer(file, specs, metadata);
  Rng rng(1);
  if (!sparse) {
    for (const TensorSpec& spec : specs) write_tensor(writer, spec, rng);
    writer.finish();
  }
  file.commit();
  if (sparse) fs::resize_file(path, SafetensorsWriter::planned_bytes(specs, metadata));
}

int run(int argc, char** argv) {
  const bool sparse = argc == 5 && std::string_view(argv[4]) == "--sparse";
  if (argc != 4 && !sparse) throw UsageError("usage: make_model SHAPE OUT_DIR TOKENIZER_DIR [--sparse]");
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const RealShape& candidate) {
    return std::string_view(candidate.name) == argv[1];
  });
  if (shape == std::end(kShapes)) throw UsageError(std::string("unknown shape ") + argv[1]);
  const nlohmann::json config = nlohmann::json::parse(shape->config);
  const Architecture& architecture = find_architecture(config);
  std::vector<TensorSpec> specs;
  for (const TensorSlot& slot : tensor_slots(architecture, architecture.read_config(config)))
    if (!slot.hf_name.empty()) specs.push_back({slot.hf_name, DType::kBF16, slot.shape});
  AtomicDirectory directory(argv[2], false);
  write_weights(directory.staging() / "model.safetensors", specs, sparse);
  AtomicFile text(directory.staging() / "config.json", false);
  text.write(config.dump(2));
  text.commit();
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "vocab.json",
                           "merges.txt", "tokenizer.model"})
    if (fs::exists(fs::path(argv[3]) / name))
      fs::copy_file(fs::path(argv[3]) / name, directory.staging() / name);
  directory.commit();
  fmt::print("{}: {} tensors\n", argv[2], specs.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_model: %s\n", error.what());
    return 1;
  }
}
