#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/encoder_config.hpp"

namespace assay {

/// How positions are rotated into queries and keys. Scalings as transformers' modeling_rope_utils defines
/// them.
struct RopeConfig {
  enum class Scaling : uint8_t { kNone, kLinear, kDynamicNtk, kYarn, kLlama3, kFactors };
  double base = 10000.0;
  int64_t dim = 0;           ///< rotated dimensions of a head; head_dim unless partial
  bool interleaved = false;  ///< pairs (2i, 2i+1) as in llama-architecture GGUF files, else (i, i + dim/2)
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  int64_t original_context = 0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  double beta_fast = 32.0, beta_slow = 1.0;              ///< yarn
  std::optional<double> attention_factor{};              ///< yarn; derived when absent
  double mscale = 0.0, mscale_all_dim = 0.0;             ///< yarn (DeepSeek's spelling)
  bool truncate = true;                                  ///< yarn: floor/ceil of the correction range
  std::vector<float> factors{};  ///< kFactors: rope_freqs.weight of a GGUF, dim/2 divisors
};

/// A transformer told as data: what the one generic decoder, or encoder, needs to run any of them.
struct ModelConfig {
  std::string architecture;  ///< registry name: "llama", "mistral", "qwen2", "qwen3"
  int64_t n_layers = 0, hidden_dim = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, ffn_dim = 0,
          vocab_size = 0;
  bool explicit_head_dim = false;  ///< the configuration names head_dim; GGUF then carries key_length
  int64_t max_context = 0;
  double norm_eps = 1e-5;
  bool tied_embeddings = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false, qk_norm = false;
  RopeConfig rope;
  /// Keys within this distance are visible (0: all), per layer; empty means full attention everywhere.
  std::vector<int64_t> sliding_window;
  std::vector<int32_t> bos_ids, eos_ids;   ///< from config and generation config, in order, without repeats
  std::optional<EncoderTraits> encoder{};  ///< set for encoders, which use no field from qk_norm on
};

}  // namespace assay
