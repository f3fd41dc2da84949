#include "convert/source.hpp"

#include "base/error.hpp"
#include "models/config_fields.hpp"

namespace assay {
namespace {

bool has_weights(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".pth")) return true;
  }
  return false;
}

std::string folder_name(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, ignored);
  const std::string name = (real.has_filename() ? real : real.parent_path()).filename().string();
  return name.empty() ? "model" : name;
}

}  // namespace

ConversionSource ConversionSource::open(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    if (!std::filesystem::exists(path)) throw Error(Fault{"no such directory", path.string(), {}, {}, {}});
    throw Error(Fault{"a conversion reads a checkpoint directory",
                      path.string(),
                      "a directory with config.json and safetensors",
                      "a file",
                      {}});
  }
  ConversionSource source;
  source.path_ = path;
  source.name_ = folder_name(path);
  if (has_weights(path)) {
    source.file_ = std::make_unique<ModelFile>(ModelFile::open(path));
    source.directory_ = source.file_->directory();
    source.model_ = source.file_->config();
  } else {
    source.config_only_ = std::make_unique<CheckpointDirectory>(path, true);
    source.directory_ = source.config_only_.get();
    source.model_ = read_model_config(source.directory_->config(), source.directory_->generation_config());
  }
  source.architecture_ = &architecture_named(source.model_.architecture);
  return source;
}

bool ConversionSource::is_quantized() const noexcept {
  if (find_mlx_settings(config()) != nullptr) return true;
  if (file_ == nullptr) return false;
  for (const ModelTensor& tensor : file_->tensors())
    if (assay::is_quantized(tensor.weight.format)) return true;
  return false;
}

DType ConversionSource::preferred_dtype() const {
  const ConfigFields fields(config());
  for (const char* key : {"torch_dtype", "dtype"}) {
    const std::string name = fields.string_or(key, "");
    if (name == "float32" || name == "torch.float32") return DType::kF32;
    if (name == "float16" || name == "torch.float16") return DType::kF16;
    if (name == "bfloat16" || name == "torch.bfloat16") return DType::kBF16;
  }
  const ModelTensor* embedding = file_ == nullptr ? nullptr : file_->find(TensorRole::kTokenEmbedding);
  if (embedding == nullptr) return DType::kBF16;
  switch (embedding->weight.format.kind) {
    case WeightKind::kF32:
      return DType::kF32;
    case WeightKind::kF16:
      return DType::kF16;
    default:
      return DType::kBF16;
  }
}

}  // namespace assay
