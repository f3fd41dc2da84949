#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoint.hpp"
#include "tensor/activation.hpp"
#include "tensor/weight_format.hpp"

namespace assay {

/// Which poolings a sentence encoder concatenates, in this order. Source: sentence_transformers
/// models/Pooling.py.
struct PoolingModes {
  bool cls = false, max = false, mean = false, mean_sqrt_len = false, weighted_mean = false,
       last_token = false;

  int count() const noexcept { return cls + max + mean + mean_sqrt_len + weighted_mean + last_token; }
  friend bool operator==(const PoolingModes&, const PoolingModes&) = default;
};
/// "mean", "cls+mean", …: sentence_transformers' words "cls", "max", "mean", "mean_sqrt_len_tokens",
/// "weightedmean" and "lasttoken", in the order of concatenation.
std::string pooling_name(const PoolingModes& modes);
/// Throws UsageError for an unknown word; modes are joined by '+' or ',', in any order.
PoolingModes parse_pooling(std::string_view text);

/// A Dense module behind the pooling: activation(x Wᵀ + b).
struct SentenceDense {
  WeightView weight;  ///< [out, in], F32, F16 or BF16, in a mapped file that SentenceModules keeps open
  std::vector<float> bias;
  Activation activation = Activation::kTanh;
};

/// What modules.json, 1_Pooling/config.json, 2_Dense, sentence_bert_config.json and
/// config_sentence_transformers.json say about a sentence encoder; without modules.json: mean pooling, no
/// normalization, and `declared` false.
struct SentenceModules {
  bool declared = false;
  PoolingModes pooling{.mean = true};
  bool include_prompt = true;
  std::vector<SentenceDense> dense;
  bool normalize = false;
  std::optional<int64_t> max_seq_length{};
  bool lowercase = false;  ///< sentence_bert_config.json: do_lower_case
  std::map<std::string, std::string> prompts;
  std::string default_prompt_name;
  std::string similarity = "cosine";
  std::vector<std::shared_ptr<const CheckpointDirectory>> files;

  /// Throws Error for a module whose type or settings are unknown, so that nothing is left out in silence.
  static SentenceModules read(const std::filesystem::path& directory, int64_t hidden_dim);
  /// Names of all files beside the weights that a converted directory must carry on.
  static std::vector<std::filesystem::path> side_files(const std::filesystem::path& directory);
};

}  // namespace assay
