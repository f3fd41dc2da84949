#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor_view.hpp"

/// What the reader and the writer of safetensors share, below the public face in safetensors.hpp.
///
///   u64 header length | JSON header, padded with spaces | tensor bytes
///   header = {"__metadata__": {text: text}, name: {"dtype": …, "shape": […], "data_offsets": [begin, end]},
///   …}
///
/// Offsets count from the first tensor byte. Source: huggingface/safetensors README, "Format".
namespace assay {

/// Largest header read or written, as in safetensors lib.rs (MAX_HEADER_SIZE).
inline constexpr uint64_t kSafetensorsMaxHeader = 100'000'000;
/// The u64 that tells the header's length.
inline constexpr uint64_t kSafetensorsLengthBytes = 8;

/// A file, parsed. Tensor bytes point into the span it was parsed from, in the order of their bytes.
struct SafetensorsContent {
  std::vector<TensorView> tensors;
  std::map<std::string, std::string> metadata;
  uint64_t header_bytes = 0;
};

/// Parses a whole file held in memory; `where` names it in errors.
SafetensorsContent parse_safetensors(std::span<const std::byte> bytes, const std::string& where);

/// Bytes of a tensor by its shape; throws Error naming `where` when a dimension is negative or the product
/// overflows 63 bits.
uint64_t safetensors_tensor_bytes(const Shape& shape, DType dtype, const std::string& where);

}  // namespace assay
