#include "convert/twins.hpp"

#include <map>

#include "io/gguf.hpp"
#include "io/json_text.hpp"
#include "io/safetensors.hpp"
#include "models/config_fields.hpp"
#include "models/npz_weights.hpp"

namespace assay {
namespace {

bool is_float(DType dtype) {
  return is_float_weight(dtype) || dtype == DType::kF64;
}

/// Which part of a quantized weight a name is; a linear bias is legitimately plain.
bool is_known_part(std::string_view suffix) {
  return suffix == "weight" || suffix == "scales" || suffix == "biases" || suffix == "bias" ||
         suffix == "weight_scale";
}

/// How codes lie in tensors of their own: MLX's words, int8, and int4 with two values a byte.
struct CodesKind {
  std::string_view suffix;
  DType dtype;
  /// At 2 bits a word of MLX holds 16 values, at 8 bits 4; the smaller number is enough to call something a
  /// twin.
  int64_t least_values;
};
constexpr CodesKind kCodes[] = {
    {".weight", DType::kU32, 4}, {".weight", DType::kI8, 1}, {".weight_packed", DType::kU8, 2}};

/// A Dense module of sentence-transformers has weights of its own in a folder of its own, as many floats as
/// its configuration says; they travel on as they are.
bool is_dense_module(const std::filesystem::path& file) {
  const std::filesystem::path config = file.parent_path() / "config.json";
  const std::string name = file.filename().string();
  if ((name != "model.safetensors" && name != "pytorch_model.bin") || !std::filesystem::exists(config))
    return false;
  const nlohmann::json settings = read_json_file(config);
  const ConfigFields fields(settings, config.string());
  if (!fields.has("in_features") || !fields.has("out_features")) return false;
  const uint64_t in = static_cast<uint64_t>(fields.dimension("in_features", 1 << 20));
  const uint64_t out = static_cast<uint64_t>(fields.dimension("out_features", 1 << 20));
  constexpr uint64_t kHeaderBytes = 16384;
  return std::filesystem::file_size(file) <= (in + 1) * out * sizeof(float) + kHeaderBytes;
}

void find_in_shards(const std::vector<SafetensorsFile>& shards, std::vector<std::string>& found) {
  std::map<std::string, int64_t> quantized;
  for (const SafetensorsFile& shard : shards)
    for (const TensorView& tensor : shard.tensors())
      for (const CodesKind& codes : kCodes)
        if (tensor.dtype == codes.dtype && tensor.name.ends_with(codes.suffix))
          quantized[tensor.name.substr(0, tensor.name.size() - codes.suffix.size())] =
              count_elements(tensor.shape) * codes.least_values;
  for (const SafetensorsFile& shard : shards)
    for (const TensorView& tensor : shard.tensors()) {
      if (!is_float(tensor.dtype)) continue;
      for (size_t dot = tensor.name.size();
           (dot = tensor.name.rfind('.', dot - 1)) != std::string::npos && dot > 0;) {
        const auto weight = quantized.find(tensor.name.substr(0, dot));
        if (weight == quantized.end()) continue;
        if (!is_known_part(std::string_view(tensor.name).substr(dot + 1)) ||
            count_elements(tensor.shape) >= weight->second)
          found.push_back(tensor.name + " holds " + std::to_string(count_elements(tensor.shape)) + " " +
                          std::string(dtype_name(tensor.dtype)) + " values beside the quantized " +
                          weight->first);
        break;
      }
    }
}

std::vector<std::string> find_in_directory(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  std::vector<SafetensorsFile> shards;
  const bool npz = holds_npz_weights(folder);
  for (auto it = std::filesystem::recursive_directory_iterator(folder); it != end(it); ++it) {
    const std::filesystem::directory_entry& entry = *it;
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
    const bool in_place = it.depth() == 0;
    if (extension == ".safetensors" && in_place && name.starts_with("model"))
      shards.emplace_back(entry.path());
    else if ((it.depth() == 1 && is_dense_module(entry.path())) || (npz && in_place && name == kNpzName))
      continue;
    else if (extension == ".safetensors" || extension == ".bin" || extension == ".pt" ||
             extension == ".pth" || extension == ".npz" || extension == ".gguf")
      found.push_back(name + " is a second file of weights (" + std::to_string(entry.file_size()) +
                      " bytes)");
  }
  find_in_shards(shards, found);
  return found;
}

std::vector<std::string> find_in_gguf(const std::filesystem::path& path) {
  std::vector<std::string> found;
  const GgufFile file(path);
  for (const GgufTensor& weight : file.tensors()) {
    if (!is_quantized(ggml_format(weight.kind))) continue;
    const std::string stem = weight.name.substr(0, weight.name.rfind('.'));
    for (const GgufTensor& other : file.tensors()) {
      if (is_quantized(ggml_format(other.kind)) || other.name.size() <= stem.size()) continue;
      if (!other.name.starts_with(stem) || other.rows() * other.cols() < weight.rows() * weight.cols())
        continue;
      found.push_back(other.name + " holds " + std::to_string(other.rows() * other.cols()) + " " +
                      format_name(ggml_format(other.kind)) + " values beside the quantized " + weight.name);
    }
  }
  return found;
}

}  // namespace

std::vector<std::string> find_float_twins(const std::filesystem::path& output) {
  return std::filesystem::is_directory(output) ? find_in_directory(output) : find_in_gguf(output);
}

}  // namespace assay
