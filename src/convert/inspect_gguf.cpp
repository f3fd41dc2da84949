#include <fmt/format.h>

#include "convert/inspect_containers.hpp"
#include "convert/levels.hpp"
#include "convert/recipe.hpp"
#include "io/gguf.hpp"

namespace assay {
namespace {

/// Bits of one code, from the kind's own name: "Q4_K" has 4, "IQ2_XS" 2, "MXFP4" 4.
int code_bits(WeightKind kind, const std::string& name) {
  if (!is_quantized(ggml_format(kind))) return static_cast<int>(bits_per_weight(ggml_format(kind)));
  for (const char c : name)
    if (c >= '1' && c <= '8') return c - '0';
  return 0;
}

InspectedTensor describe(const GgufTensor& tensor) {
  const WeightFormat format = ggml_format(tensor.kind);
  InspectedTensor result;
  result.name = tensor.name;
  result.shape.assign(tensor.dims.rbegin(), tensor.dims.rend());
  result.format = format_name(format);
  result.parameters = static_cast<uint64_t>(count_elements(result.shape));
  result.bytes = tensor.bytes.size();
  result.quantized = is_quantized(format);
  result.code_bits = code_bits(tensor.kind, result.format);
  result.row_fallback = tensor.cols() % 256 != 0;
  if (result.parameters < 4096 || result.shape.size() < 2) return result;
  const RowSample sample = sample_rows(tensor.view());
  if (result.quantized) {
    result.degenerate = is_degenerate(sample);
    result.few_codes = result.code_bits == 8 && uses_few_codes(sample);
  } else {
    result.suspicion = find_few_levels(sample);
  }
  return result;
}

}  // namespace

void inspect_gguf(const std::filesystem::path& path, Inspection& inspection) {
  inspection.container = "gguf";
  const GgufFile file(path);
  inspection.architecture = file.metadata().string_or("general.architecture", "");
  const int64_t type = file.metadata().integer_or("general.file_type", -1);
  if (type >= 0) {
    const std::string_view name = gguf_file_type_name(static_cast<uint32_t>(type));
    inspection.declared["file_type"] = name.empty() ? std::to_string(type) : std::string(name);
  }
  for (const GgufTensor& tensor : file.tensors()) inspection.tensors.push_back(describe(tensor));
  if (inspection.tensors.empty())
    inspection.observations.push_back("the file holds metadata alone, no tensor");
}

}  // namespace assay
