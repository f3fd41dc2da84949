#include <algorithm>

#include "kernels/encoder_float_isa.hpp"

namespace assay {

size_t f32_panel_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>((rows + kPanelRows - 1) / kPanelRows * kPanelRows * cols) * sizeof(float);
}

void pack_f32_panels(const float* weight, int64_t rows, int64_t cols, std::byte* panels) {
  auto* out = reinterpret_cast<float*>(panels);
  // Columns in pieces whose panel stays in the first-level cache while the rows pass by.
  constexpr int64_t kPiece = 128;
  for (int64_t row = 0; row < rows; row += kPanelRows, out += cols * kPanelRows)
    for (int64_t begin = 0; begin < cols; begin += kPiece)
      for (int64_t r = 0; r < kPanelRows; ++r)
        for (int64_t k = begin; k < std::min(cols, begin + kPiece); ++k)
          out[k * kPanelRows + r] = row + r < rows ? weight[(row + r) * cols + k] : 0.0f;
}

int64_t attention_scratch(int64_t length, int64_t head_dim) noexcept {
  return attention_layout(length, head_dim).floats;
}

}  // namespace assay
