#pragma once
#include "formats/format.hpp"

/// One function per file of this room; registry.cpp gathers them.
namespace assay {

FormatOps f32_ops() noexcept;
FormatOps f16_ops() noexcept;
FormatOps bf16_ops() noexcept;
FormatOps q4_0_ops() noexcept;
FormatOps q4_1_ops() noexcept;
FormatOps q5_0_ops() noexcept;
FormatOps q5_1_ops() noexcept;
FormatOps q8_0_ops() noexcept;
FormatOps q2_k_ops() noexcept;
FormatOps q3_k_ops() noexcept;
FormatOps q4_k_ops() noexcept;
FormatOps q5_k_ops() noexcept;
FormatOps q6_k_ops() noexcept;
FormatOps iq4_nl_ops() noexcept;
FormatOps iq4_xs_ops() noexcept;
FormatOps q8_1_ops() noexcept;
FormatOps tq1_0_ops() noexcept;
FormatOps tq2_0_ops() noexcept;
FormatOps mxfp4_ops() noexcept;
FormatOps nvfp4_ops() noexcept;
FormatOps iq1_s_ops() noexcept;
FormatOps iq1_m_ops() noexcept;
FormatOps iq2_xxs_ops() noexcept;
FormatOps iq2_xs_ops() noexcept;
FormatOps iq2_s_ops() noexcept;
FormatOps iq3_xxs_ops() noexcept;
FormatOps iq3_s_ops() noexcept;
FormatOps mlx_affine_ops() noexcept;
FormatOps int8_ops() noexcept;
FormatOps int4_ops() noexcept;

}  // namespace assay
