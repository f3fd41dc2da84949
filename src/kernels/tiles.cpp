#include "kernels/tiles.hpp"

#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace assay {
namespace {

#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
/// Tiles are state that Linux gives only to a process that asks for it (Documentation/arch/x86/xstate.rst).
bool request_tiles() noexcept {
  constexpr int kRequestPermission = 0x1023;              // ARCH_REQ_XCOMP_PERM, asm/prctl.h
  constexpr int kTileData = 18;                           // XFEATURE_XTILEDATA
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;  // CPUID.(7,0):EDX
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kTile) == 0 || (d & kInt8) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#else
bool request_tiles() noexcept {
  return false;
}
#endif

}  // namespace

bool may_use_tiles() noexcept {
  static const bool kGranted = request_tiles();
  return kGranted;
}

}  // namespace assay
