#include <array>

#include "base/error.hpp"
#include "formats/format.hpp"
#include "formats/list.hpp"

namespace assay {

std::span<const FormatOps> format_registry() noexcept {
  static const std::array registry = {
      f32_ops(),    f16_ops(),    q4_0_ops(), q4_1_ops(),       q5_0_ops(), q5_1_ops(),
      q8_0_ops(),   q2_k_ops(),   q3_k_ops(), q4_k_ops(),       q5_k_ops(), q6_k_ops(),
      iq4_nl_ops(), iq4_xs_ops(), bf16_ops(), mlx_affine_ops(), int8_ops(), int4_ops(),
  };
  return registry;
}

const FormatOps* find_format_ops(const WeightFormat& format) noexcept {
  for (const FormatOps& ops : format_registry()) {
    if (ops.kind == format.kind) return &ops;
  }
  return nullptr;
}

const FormatOps& format_ops(const WeightFormat& format) {
  if (const FormatOps* ops = find_format_ops(format)) return *ops;
  throw Error({.what = "weights in this format cannot be decoded",
               .where = {},
               .expected = "F32, F16, BF16, Q8_0, Q4_0 … Q6_K, IQ4_NL, IQ4_XS, MLX affine, int8 or int4",
               .found = format_name(format),
               .cause = {}});
}

}  // namespace assay
