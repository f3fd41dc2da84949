#include "tensor/tensor_view.hpp"

#include "base/error.hpp"

namespace assay {

int64_t count_elements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count))
      throw Error({"impossible shape", {}, {}, format_shape(shape), {}});
  }
  return count;
}

std::string format_shape(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace assay
