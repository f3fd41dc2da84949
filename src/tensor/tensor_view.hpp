#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.hpp"

namespace assay {

/// Dimensions, outermost first; the last one is contiguous. A scalar has none.
using Shape = std::vector<int64_t>;

/// Product of the dimensions. Throws Error when one is negative or the product overflows 63 bits.
int64_t count_elements(const Shape& shape);
/// "[4096, 512]"
std::string format_shape(const Shape& shape);

/// A named plain tensor inside a mapped file. The bytes are not necessarily aligned to the element.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;  ///< count_elements(shape) * dtype_bytes(dtype), row-major, little-endian
};

}  // namespace assay
