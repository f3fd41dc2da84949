#include "convert/twins.hpp"

#include <map>

#include "io/gguf.hpp"
#include "io/safetensors.hpp"

namespace assay {
namespace {

bool is_float(DType dtype) {
  return is_float_weight(dtype) || dtype == DType::kF64;
}

/// Which part of an MLX weight a name is; a linear bias is legitimately plain.
bool is_known_part(std::string_view suffix) {
  return suffix == "weight" || suffix == "scales" || suffix == "biases" || suffix == "bias";
}

/// Values behind the packed tensor `path`.weight, from its U32 words: at 2 bits a word holds 16, at 8 bits 4;
/// the smaller number is enough to call something a twin.
int64_t least_values(const TensorView& packed) {
  return count_elements(packed.shape) * 4;
}

void find_in_shards(const std::vector<SafetensorsFile>& shards, std::vector<std::string>& found) {
  std::map<std::string, int64_t> quantized;
  for (const SafetensorsFile& shard : shards)
    for (const TensorView& tensor : shard.tensors())
      if (tensor.dtype == DType::kU32 && tensor.name.ends_with(".weight"))
        quantized[tensor.name.substr(0, tensor.name.size() - 7)] = least_values(tensor);
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
  for (auto it = std::filesystem::recursive_directory_iterator(folder); it != end(it); ++it) {
    const std::filesystem::directory_entry& entry = *it;
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
    const bool in_place = it.depth() == 0;
    if (extension == ".safetensors" && in_place && name.starts_with("model"))
      shards.emplace_back(entry.path());
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
