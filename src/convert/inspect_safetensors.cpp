#include <algorithm>

#include "base/error.hpp"
#include "convert/encoder_plan.hpp"
#include "convert/inspect_containers.hpp"
#include "convert/tensor_groups.hpp"
#include "io/checkpoint.hpp"
#include "models/config_fields.hpp"
#include "models/encoder_match.hpp"
#include "models/model_file.hpp"
#include "models/tensor_match.hpp"

namespace assay {
namespace {

void append_raw(const SafetensorsFile& file, std::vector<RawTensor>& raw) {
  for (const TensorView& view : file.tensors())
    raw.push_back({view.name, view.dtype, view.shape, view.bytes.size(), view.bytes});
}

void describe_all(const std::vector<RawTensor>& raw, const GroupContext& context, Inspection& inspection) {
  for (const TensorGroup& group : group_tensors(raw))
    inspection.tensors.push_back(describe_group(group, context, inspection.contradictions));
}

void declare_from_config(const nlohmann::json& config, Inspection& inspection) {
  const ConfigFields fields(config);
  inspection.architecture = fields.string_or("model_type", "");
  const nlohmann::json* settings = find_mlx_settings(config);
  if (settings == nullptr) return;
  const ConfigFields values(*settings, "config.json: quantization");
  for (const char* key :
       {"bits", "group_size", "mode", "quant_method", "format", "bnb_4bit_quant_type", "load_in_4bit"})
    if (values.has(key)) inspection.declared[key] = values.at(key);
  if (is_assay_config(config)) inspection.declared["bits"] = values.string_or("format", "") == "int4" ? 4 : 8;
}

std::vector<std::filesystem::path> list_files(const std::filesystem::path& folder,
                                              std::string_view extension) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == extension) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// Bytes of a weight whose format and shape are known but whose file is not there.
uint64_t estimate_bytes(const InspectedTensor& tensor, DType plain) {
  if (!tensor.quantized) return tensor.parameters * dtype_bytes(plain);
  // bitsandbytes: 4-bit codes and one byte per block of 64 (double quantization).
  return tensor.parameters / 2 + tensor.parameters / 64;
}

/// Gives a name from an index the type its companions imply; sizes come from the architecture.
void guess_types(std::vector<RawTensor>& raw, const GroupContext& context, DType plain) {
  std::map<std::string, RawTensor*, std::less<>> by_name;
  for (RawTensor& tensor : raw) by_name[tensor.name] = &tensor;
  for (RawTensor& tensor : raw) {
    tensor.dtype = plain;
    if (const auto shape = context.shapes.find(tensor.name); shape != context.shapes.end())
      tensor.shape = shape->second;
    if (by_name.contains(tensor.name + ".absmax")) tensor.dtype = DType::kU8;
    const std::string path = tensor.name.substr(0, tensor.name.rfind('.'));
    if (!tensor.name.ends_with(".weight") || !by_name.contains(path + ".scales") || tensor.shape.size() != 2)
      continue;
    const auto quantization = resolve_mlx_quantization(*context.config, path, true);
    if (!quantization || tensor.shape[1] % quantization->group_size != 0) continue;
    const Shape groups{tensor.shape[0], tensor.shape[1] / quantization->group_size};
    tensor.shape[1] = tensor.shape[1] * quantization->bits / 32;
    tensor.dtype = DType::kU32;
    tensor.bytes = static_cast<uint64_t>(count_elements(tensor.shape)) * 4;
    for (const char* part : {".scales", ".biases"})
      if (const auto found = by_name.find(path + part); found != by_name.end()) {
        found->second->shape = groups;
        found->second->bytes = static_cast<uint64_t>(count_elements(groups)) * dtype_bytes(plain);
      }
  }
}

DType config_dtype(const nlohmann::json& config) {
  const ConfigFields fields(config);
  const std::string name = fields.string_or("torch_dtype", fields.string_or("dtype", "bfloat16"));
  return name == "float32" ? DType::kF32 : name == "float16" ? DType::kF16 : DType::kBF16;
}

/// config.json and an index without the files it names: what a download looks like before the weights, and
/// enough to see what they would be.
void inspect_index(const CheckpointDirectory& directory, Inspection& inspection) {
  inspection.container = "index";
  const nlohmann::json& index = directory.index();
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object())
    throw Error(Fault{"index has no weight_map", directory.path().string(), "an object", {}, {}});
  GroupContext context{&directory.config(), expected_shapes(directory.config()), {}};
  std::vector<RawTensor> raw;
  for (const auto& [name, file] : map->items()) raw.push_back({name, DType::kF32, {}, 0, {}});
  const DType plain = config_dtype(directory.config());
  guess_types(raw, context, plain);
  describe_all(raw, context, inspection);
  for (InspectedTensor& tensor : inspection.tensors)
    if (tensor.bytes == 0) tensor.bytes = estimate_bytes(tensor, plain);
  uint64_t sum = 0;
  for (const InspectedTensor& tensor : inspection.tensors) sum += tensor.bytes;
  inspection.bytes = sum;
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object() || !metadata->contains("total_size")) return;
  inspection.bytes = static_cast<uint64_t>(ConfigFields(*metadata, "index: metadata").integer("total_size"));
  inspection.observations.push_back(
      inspection.bytes == sum ? "the index's total_size is what these formats take, to the byte"
                              : "sizes follow from the configuration; total_size is the index's own");
}

/// Tables that stay floats beside quantized layers are most of what a small encoder weighs.
void remark_float_embeddings(const ModelFile& model, Inspection& inspection) {
  if (!model.config().encoder) return;
  uint64_t bytes = 0, parameters = 0;
  bool quantized = false;
  std::string format;
  for (const ModelTensor& tensor : model.tensors()) {
    parameters += static_cast<uint64_t>(tensor.weight.rows * tensor.weight.cols);
    quantized = quantized || is_quantized(tensor.weight.format);
    if (!is_embedding(tensor.slot.role) || is_quantized(tensor.weight.format)) continue;
    bytes += tensor.weight.bytes();
    format = format_name(tensor.weight.format);
  }
  if (quantized && bytes != 0)
    inspection.observations.push_back(
        float_embeddings_sentence(bytes, model.weight_bytes(), parameters, format));
}

/// The folder that a conversion wrote into is no model itself: says which ones it holds.
void refuse_several_models(const std::filesystem::path& folder,
                           const std::vector<std::filesystem::path>& ggufs) {
  std::vector<std::string> models;
  for (const std::filesystem::path& file : ggufs)
    if (file.filename().string().find("-of-") == std::string::npos)
      models.push_back(file.filename().string());
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (std::filesystem::exists(entry.path() / "config.json"))
      models.push_back(entry.path().filename().string());
  if (models.empty() || (models.size() == 1 && ggufs.size() == 1)) return;
  std::sort(models.begin(), models.end());
  throw Error(Fault{
      "no model itself, but a folder of models", folder.string(), "one of them", list_some(models), {}});
}

}  // namespace

void inspect_safetensors(const std::filesystem::path& path, Inspection& inspection) {
  inspection.container = "safetensors";
  const SafetensorsFile file(path);
  std::vector<RawTensor> raw;
  append_raw(file, raw);
  describe_all(raw, {}, inspection);
}

void inspect_directory(const std::filesystem::path& path, Inspection& inspection) {
  const std::vector<std::filesystem::path> weights = list_files(path, ".safetensors");
  const bool has_config = std::filesystem::exists(path / "config.json");
  if (has_config && weights.empty() && std::filesystem::exists(path / "model.safetensors.index.json")) {
    const CheckpointDirectory directory(path, true);
    declare_from_config(directory.config(), inspection);
    return inspect_index(directory, inspection);
  }
  if (weights.empty()) {
    const std::vector<std::filesystem::path> archives = list_files(path, ".npz"),
                                             ggufs = list_files(path, ".gguf");
    if (!has_config) refuse_several_models(path, ggufs);
    if (archives.size() == 1) return inspect_npz(archives[0], inspection);
    if (ggufs.size() == 1) return inspect_gguf(ggufs[0], inspection);
  }
  std::vector<RawTensor> raw;
  if (!has_config && !weights.empty()) {
    inspection.container = "safetensors";
    std::vector<std::unique_ptr<SafetensorsFile>> files;
    for (const std::filesystem::path& file : weights) {
      files.push_back(std::make_unique<SafetensorsFile>(file));
      append_raw(*files.back(), raw);
    }
    return describe_all(raw, {}, inspection);
  }
  const CheckpointDirectory directory(path);
  declare_from_config(directory.config(), inspection);
  bool mlx = directory.config().contains("quantization");
  for (const auto& shard : directory.shards()) {
    append_raw(*shard, raw);
    const auto format = shard->metadata().find("format");
    mlx = mlx || (format != shard->metadata().end() && format->second == "mlx");
  }
  inspection.container = is_assay_config(directory.config()) ? "assay" : mlx ? "mlx" : "huggingface";
  const GroupContext context{&directory.config(), expected_shapes(directory.config()), {}};
  describe_all(raw, context, inspection);
  if (context.shapes.empty()) return;
  try {
    remark_float_embeddings(ModelFile::open(path), inspection);
  } catch (const Error& error) {
    inspection.observations.push_back(std::string("it does not open as a model: ") + error.what());
  }
}

}  // namespace assay
