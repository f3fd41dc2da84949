#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "convert/recipe.hpp"
#include "convert/source.hpp"
#include "io/gguf.hpp"
#include "io/safetensors.hpp"

namespace assay {

/// One weight of an output, before any bytes exist.
struct PlannedTensor {
  TensorSlot slot;
  std::string name;  ///< in the output's naming
  WeightFormat format;
  uint64_t bytes = 0;  ///< codes, scales and biases together, without padding
  std::string reason;  ///< why the format is not the recipe's own; empty where it is

  uint64_t parameters() const { return static_cast<uint64_t>(count_elements(slot.shape)); }
  /// Scales included, the one of each int8 row too.
  double bits_per_weight() const {
    return 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters());
  }
};

/// A weight file of an output. `specs` lists its tensors for safetensors; GGUF has its own list.
struct PlannedFile {
  std::string name;
  uint64_t bytes = 0;  ///< of the whole file, headers and padding included
  std::vector<TensorSpec> specs;
};

/// Every byte of an output, known before any weight is read.
struct Plan {
  Recipe recipe;
  std::string output_name;  ///< below the output folder: "mlx-4bit", "Name-Q4_K_M.gguf"
  std::vector<PlannedTensor> tensors;
  std::vector<PlannedFile> files;
  uint64_t parameters = 0;         ///< of the model; generated tensors not counted
  uint64_t weight_bytes = 0;       ///< of all tensors, without headers and padding
  uint64_t peak_memory_bytes = 0;  ///< estimate of the conversion's largest resident set
  DType dtype = DType::kF32;       ///< MLX: of scales and of what stays unquantized; encoders' own: F32
  GgufMetadata metadata;           ///< GGUF: as it will be written
  std::vector<std::string> notes;  ///< what a careful user should know, one sentence each

  double bits_per_weight() const noexcept;
  uint64_t file_bytes() const noexcept;
  /// How many times smaller than the same weights of `bits` bits each: 32 or 16.
  double ratio_to(int bits) const noexcept { return bits / bits_per_weight(); }
  /// The type that weights are rounded to before they are packed, as mlx-lm does; none elsewhere.
  std::optional<DType> cast() const noexcept;
};

/// Needs the configuration alone. A directory without tokenizer gets a plan whose notes say so; a GGUF's size
/// then lacks the vocabulary. Throws Error when the target cannot express the model.
Plan make_plan(const ConversionSource& source, const Recipe& recipe);

/// The safetensors parts of a planned weight, in the order codes, scales, biases: `.weight`, with `.scales`
/// and
/// `.biases` for MLX formats, with `.weight_scale` for int8; `.weight_packed` and `.weight_scale` for int4.
std::vector<TensorSpec> tensor_parts(const PlannedTensor& tensor);
/// The texts that safetensors files of this output carry: {"format": "mlx"}, or {"format": "assay"}.
std::map<std::string, std::string> directory_metadata(const Plan& plan);
std::vector<GgufTensorSpec> gguf_specs(const Plan& plan);

/// Rows that are quantized and written at a time, so that a chunk's output stays near kChunkBytes.
inline constexpr uint64_t kChunkBytes = uint64_t{16} << 20;
int64_t rows_per_chunk(const WeightFormat& format, int64_t cols) noexcept;

/// {recipe, path, planned, parameters, bytes, weight_bytes, bits_per_weight, files, tensors, notes, …}.
nlohmann::json plan_json(const Plan& plan);

}  // namespace assay
