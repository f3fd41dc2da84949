#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/model_file.hpp"

namespace assay {

/// Where a conversion reads from: a checkpoint directory, or only its configuration for a plan.
class ConversionSource {
 public:
  /// Opens the weights when the directory has any, else the configuration alone. Throws Error for GGUF files
  /// and for whatever ModelFile::open refuses.
  static ConversionSource open(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return path_; }
  /// The directory's own name: "Llama-3.2-1B".
  const std::string& name() const noexcept { return name_; }
  const nlohmann::json& config() const noexcept { return directory_->config(); }
  /// Null JSON when there is none.
  const nlohmann::json& generation_config() const noexcept { return directory_->generation_config(); }
  const ModelConfig& model() const noexcept { return model_; }
  const Architecture& architecture() const noexcept { return *architecture_; }
  /// Null when only the configuration is there.
  const ModelFile* file() const noexcept { return file_.get(); }
  /// True when the configuration or a tensor says that the weights are packed already.
  bool is_quantized() const noexcept;
  /// The element type the model's authors name (torch_dtype, dtype), else that of the stored embedding, else
  /// BF16.
  DType preferred_dtype() const;

 private:
  ConversionSource() = default;
  std::filesystem::path path_;
  std::string name_;
  std::unique_ptr<ModelFile> file_;
  std::unique_ptr<CheckpointDirectory> config_only_;
  const CheckpointDirectory* directory_ = nullptr;
  ModelConfig model_;
  const Architecture* architecture_ = nullptr;
};

}  // namespace assay
