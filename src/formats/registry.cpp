#include <array>

#include "base/error.hpp"
#include "formats/format.hpp"
#include "formats/list.hpp"

namespace assay {

std::span<const FormatOps> format_registry() noexcept {
  static const std::array registry = {
      f32_ops(),   f16_ops(),     q4_0_ops(),   q4_1_ops(),       q5_0_ops(),  q5_1_ops(),
      q8_0_ops(),  q8_1_ops(),    q2_k_ops(),   q3_k_ops(),       q4_k_ops(),  q5_k_ops(),
      q6_k_ops(),  iq2_xxs_ops(), iq2_xs_ops(), iq3_xxs_ops(),    iq1_s_ops(), iq4_nl_ops(),
      iq3_s_ops(), iq2_s_ops(),   iq4_xs_ops(), iq1_m_ops(),      bf16_ops(),  tq1_0_ops(),
      tq2_0_ops(), mxfp4_ops(),   nvfp4_ops(),  mlx_affine_ops(), int8_ops(),  int4_ops(),
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
               .expected = "F32, F16, BF16, a quantized format of GGUF, MLX affine, int8 or int4",
               .found = format_name(format),
               .cause = {}});
}

}  // namespace assay
