#include "kernels/q8_rows.hpp"

namespace assay {

UnpackQ8 q8_unpacker(std::string_view isa) noexcept {
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  if (isa == "avx2") return avx2::unpack_q8;
  if (isa.starts_with("avx512") || isa == "amx") return avx512::unpack_q8;
#endif
  (void)isa;
  return scalar::unpack_q8;
}

}  // namespace assay
