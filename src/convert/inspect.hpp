#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/tensor_view.hpp"

namespace assay {

/// A weight as it really lies in a file, its scales and other parts counted with it.
struct InspectedTensor {
  std::string name;
  Shape shape;         ///< of the weight itself, not of its packing; empty when only a name is known
  std::string format;  ///< "BF16", "Q4_K", "mlx-4bit-g64", "bnb-nf4"
  uint64_t parameters = 0;
  uint64_t bytes = 0;
  bool quantized = false;
  int code_bits = 0;          ///< bits of one code; the element's bits where nothing is quantized
  bool row_fallback = false;  ///< GGUF: the row is no multiple of 256, so a K-quant could not hold it
  std::string suspicion;      ///< why a float tensor looks quantized and written back; empty for honest ones
  bool few_codes = false;     ///< 8-bit codes of which a tiny share occurs
  bool degenerate = false;    ///< codes that say nothing: the decoded values are constant almost everywhere
  bool listed = false;        ///< config.json lists the tensor among the exceptions from its format
  nlohmann::json evidence{};  ///< what was counted in an archive's codes or floats; null elsewhere

  double bits_per_weight() const noexcept;
};

enum class Verdict : uint8_t { kQuantized, kUnquantized, kMixed, kFake };
std::string_view verdict_name(Verdict verdict) noexcept;
/// Throws UsageError for a word that is none of the four.
Verdict parse_verdict(std::string_view word);

struct FormatTotals {
  uint64_t tensors = 0, parameters = 0, bytes = 0;
};

/// What is really in a file or directory.
struct Inspection {
  std::filesystem::path path;
  std::string container;     ///< "huggingface", "mlx", "assay", "gguf", "safetensors", "npz", "index"
  std::string architecture;  ///< model_type or general.architecture; empty when the container does not say
  uint64_t parameters = 0;
  uint64_t bytes = 0;       ///< of the tensors
  nlohmann::json declared;  ///< what the container claims: bits, group_size, mode, file_type, quant_method
  std::vector<InspectedTensor> tensors;
  std::vector<std::string> contradictions;  ///< declarations that the stored tensors disprove
  std::vector<std::string> observations;    ///< facts worth saying that prove nothing
  Verdict verdict = Verdict::kUnquantized;
  std::vector<std::string> reasons;  ///< the evidence for the verdict, most important first

  double bits_per_weight() const noexcept;
  std::map<std::string, FormatTotals> formats() const;
};

/// Looks into a checkpoint, an MLX or an index-only directory, a safetensors, GGUF or npz file. Headers are
/// read whole; of every large tensor a bounded sample of rows is decoded. Throws Error, one clear line, for
/// what is missing, cut off or corrupt.
Inspection inspect_path(const std::filesystem::path& path);

/// The shape of `inspect --json`.
nlohmann::json inspection_json(const Inspection& inspection);

}  // namespace assay
