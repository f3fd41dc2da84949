#include "models/model_file.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "models/encoder_match.hpp"
#include "models/gguf_encoder_config.hpp"
#include "models/npz_weights.hpp"
#include "models/tensor_match.hpp"

namespace assay {
namespace {

/// mlx-lm marks its files by the metadata "format": "mlx", whether quantized or not.
Container directory_container(const CheckpointDirectory& directory) {
  if (is_assay_config(directory.config())) return Container::kAssay;
  if (directory.config().contains("quantization")) return Container::kMlx;
  for (const auto& shard : directory.shards()) {
    const auto format = shard->metadata().find("format");
    if (format != shard->metadata().end() && format->second == "mlx") return Container::kMlx;
  }
  return Container::kHuggingFace;
}

/// Runs `body`; an Error that does not say which model it is about gets the path in front.
template <class Body>
void naming_path(const std::filesystem::path& path, Body body) {
  try {
    body();
  } catch (const Error& error) {
    Fault fault = error.fault();
    if (fault.where.starts_with(path.string())) throw;
    fault.where = path.string() + (fault.where.empty() ? "" : ": " + fault.where);
    throw Error(std::move(fault));
  }
}

}  // namespace

std::string_view container_name(Container container) noexcept {
  switch (container) {
    case Container::kHuggingFace:
      return "huggingface";
    case Container::kMlx:
      return "mlx";
    case Container::kGguf:
      return "gguf";
    case Container::kAssay:
      return "assay";
    case Container::kNpz:
      return "npz";
  }
  return "unknown";
}

ModelFile ModelFile::open(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return open_directory(path);
  if (!std::filesystem::exists(path))
    throw Error(Fault{"no such file or directory", path.string(), {}, {}, {}});
  if (path.extension() == ".safetensors")
    throw Error(Fault{"a single weight file is not a model",
                      path.string(),
                      "the directory with config.json",
                      "a safetensors file",
                      {}});
  return open_gguf(path);
}

ModelFile ModelFile::open_directory(const std::filesystem::path& path) {
  ModelFile model;
  model.path_ = path;
  const bool npz = holds_npz_weights(path);
  model.directory_ = std::make_unique<CheckpointDirectory>(path, npz);
  if (npz) model.notes_ = read_npz_weights(*model.directory_);
  const CheckpointDirectory& directory = *model.directory_;
  naming_path(path, [&] {
    model.architecture_ = &find_architecture(directory.config());
    model.config_ = read_model_config(directory.config(), directory.generation_config());
    if (!npz) refuse_foreign_quantization(directory);
    model.container_ = npz ? Container::kNpz : directory_container(directory);
    if (model.config_.encoder)
      complete_encoder_config(directory, *model.architecture_->encoder, model.config_);
    // mlx-lm ties the head when its configuration does not say (models/llama.py, ModelArgs).
    else if (model.container_ == Container::kMlx && !directory.config().contains("tie_word_embeddings"))
      model.config_.tied_embeddings = directory.find("lm_head.weight") == nullptr;
    TensorMatch match = match_directory(directory, tensor_slots(*model.architecture_, model.config_),
                                        model.config_, model.container_);
    model.tensors_ = std::move(match.tensors);
    model.notes_.insert(model.notes_.end(), match.notes.begin(), match.notes.end());
    if (model.container_ == Container::kAssay) check_assay_summary(directory.config(), model.tensors_);
  });
  return model;
}

ModelFile ModelFile::open_gguf(const std::filesystem::path& path) {
  ModelFile model;
  model.path_ = path;
  model.container_ = Container::kGguf;
  model.gguf_ = std::make_unique<GgufFile>(path);
  naming_path(path, [&] {
    model.config_ = read_gguf_config(model.gguf_->metadata());
    if (model.config_.encoder)
      complete_gguf_encoder_config(*model.gguf_, model.config_);
    else
      complete_gguf_config(*model.gguf_, model.config_);
    model.architecture_ = &architecture_named(model.config_.architecture);
    TensorMatch match = match_gguf(*model.gguf_, tensor_slots(*model.architecture_, model.config_));
    model.tensors_ = std::move(match.tensors);
    model.notes_ = std::move(match.notes);
  });
  return model;
}

const ModelTensor* ModelFile::find(TensorRole role, int layer) const noexcept {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const ModelTensor& tensor) {
    return tensor.slot.role == role && tensor.slot.layer == layer;
  });
  return found == tensors_.end() ? nullptr : &*found;
}

const ModelTensor& ModelFile::output() const {
  const ModelTensor* head = find(TensorRole::kOutput);
  if (head == nullptr) head = find(TensorRole::kTokenEmbedding);
  ASSAY_CHECK(head != nullptr);
  return *head;
}

std::vector<std::filesystem::path> ModelFile::files() const {
  std::vector<std::filesystem::path> paths;
  if (directory_ != nullptr)
    for (const auto& shard : directory_->shards()) paths.push_back(shard->file().path());
  if (container_ == Container::kNpz) paths.push_back(path_ / kNpzName);
  if (gguf_ != nullptr)
    for (const MappedFile& file : gguf_->files()) paths.push_back(file.path());
  return paths;
}

uint64_t ModelFile::weight_bytes() const noexcept {
  uint64_t total = 0;
  for (const ModelTensor& tensor : tensors_) total += tensor.weight.bytes();
  return total;
}

void ModelFile::release(const ModelTensor& tensor) const noexcept {
  const auto give_back = [](const MappedFile& file, std::span<const std::byte> part) {
    const std::span<const std::byte> whole = file.bytes();
    if (!part.empty() && part.data() >= whole.data() && part.data() < whole.data() + whole.size())
      file.release(part);
  };
  for (const std::span<const std::byte> part :
       {tensor.weight.codes, tensor.weight.scales, tensor.weight.biases}) {
    if (directory_ != nullptr)
      for (const auto& shard : directory_->shards()) give_back(shard->file(), part);
    if (gguf_ != nullptr)
      for (const MappedFile& file : gguf_->files()) give_back(file, part);
  }
}

}  // namespace assay
