#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoint.hpp"
#include "io/gguf.hpp"
#include "models/architecture.hpp"

namespace assay {

enum class Container : uint8_t {
  kHuggingFace,
  kMlx,
  kGguf,
  kAssay,  ///< a directory of int8 and int4 weights that assay wrote (encoders)
  kNpz,    ///< a directory with weights.npz in place of safetensors (encoders)
};
/// "huggingface", "mlx", "gguf", "assay", "npz".
std::string_view container_name(Container container) noexcept;

/// A weight of a model where it lies in its mapped file.
struct ModelTensor {
  TensorSlot slot;
  std::string stored_name;  ///< the name in this container
  WeightView weight;        ///< 1-D tensors have rows 1
};

/// A model in any container, opened by path: a directory (Hugging Face, MLX, assay, npz) or a GGUF file.
/// Every tensor in the files is claimed by a slot or listed in an Error; every slot is filled or listed
/// likewise.
class ModelFile {
 public:
  /// Throws Error for anything that contradicts itself: see the constructor's tests for the list.
  static ModelFile open(const std::filesystem::path& path);

  Container container() const noexcept { return container_; }
  const std::filesystem::path& path() const noexcept { return path_; }
  const ModelConfig& config() const noexcept { return config_; }
  const Architecture& architecture() const noexcept { return *architecture_; }
  /// In slot order. A tied head is not repeated; see output().
  const std::vector<ModelTensor>& tensors() const noexcept { return tensors_; }
  /// Null when the model has no such tensor.
  const ModelTensor* find(TensorRole role, int layer = -1) const noexcept;
  /// The output head: lm_head, or the token embedding where they are tied.
  const ModelTensor& output() const;
  /// The directory, or null for GGUF; and the reverse.
  const CheckpointDirectory* directory() const noexcept { return directory_.get(); }
  const GgufFile* gguf() const noexcept { return gguf_.get(); }
  /// Every file that holds weights.
  std::vector<std::filesystem::path> files() const;
  uint64_t weight_bytes() const noexcept;
  /// What was left aside or read under another name: one sentence each, for people to see.
  const std::vector<std::string>& notes() const noexcept { return notes_; }
  /// Tells the kernel that the tensor's pages are not needed again soon.
  void release(const ModelTensor& tensor) const noexcept;

 private:
  ModelFile() = default;
  static ModelFile open_directory(const std::filesystem::path& path);
  static ModelFile open_gguf(const std::filesystem::path& path);

  Container container_ = Container::kHuggingFace;
  std::filesystem::path path_;
  ModelConfig config_;
  const Architecture* architecture_ = nullptr;
  std::unique_ptr<CheckpointDirectory> directory_;
  std::unique_ptr<GgufFile> gguf_;
  std::vector<ModelTensor> tensors_;
  std::vector<std::string> notes_;
};

/// How an MLX config.json says a module is quantized; nothing when it is not. Rules of mlx-lm utils.py
/// load_model: exact path entry (a dict, false, null members meaning the mode's default), else quantized iff
/// `<path>.scales` exists, with the top-level parameters; a missing mode is "affine".
struct MlxQuantization {
  int bits = 4;
  int group_size = 64;
  std::string mode = "affine";
};
/// Throws Error when the entry is malformed or another tool's quant_method stands there.
std::optional<MlxQuantization> resolve_mlx_quantization(const nlohmann::json& config,
                                                        std::string_view module_path, bool has_scales);

/// The object with the top-level parameters ("quantization", else "quantization_config"); null without one.
const nlohmann::json* find_mlx_settings(const nlohmann::json& config) noexcept;

}  // namespace assay
