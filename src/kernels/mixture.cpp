#include "kernels/mixture.hpp"

namespace assay {

MixOnto mixture_kernel(std::string_view isa) noexcept {
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  if (isa == "avx2") return avx2::mix_onto;
  if (isa.starts_with("avx512") || isa == "amx") return avx512::mix_onto;
#endif
  (void)isa;
  return scalar::mix_onto;
}

}  // namespace assay
