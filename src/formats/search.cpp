#include "formats/search.hpp"

#include <cstdlib>
#include <string_view>

namespace assay {
namespace {

constexpr int kLanes = 4;
#include "formats/search_lanes.inl"

const SearchTable& choose_table() {
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  const char* forced = std::getenv("ASSAY_ISA");
  const std::string_view isa = forced ? forced : "";
  if (isa == "scalar") return kScalarSearch;
  if (isa != "avx2" && can_run_avx512()) return kAvx512Search;
  if (can_run_avx2()) return kAvx2Search;
#endif
  return kScalarSearch;
}

}  // namespace

const SearchTable kScalarSearch = {"scalar", fit_lines, fit_scales, fit_levels};

#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
// The features that the build gives to files in avx2/ and avx512/ (cmake/assay.cmake). F16C, which clang 14
// cannot ask for, came a generation before AVX2.
bool can_run_avx2() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool can_run_avx512() noexcept {
  return can_run_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

const SearchTable& search_table() {
  static const SearchTable& table = choose_table();
  return table;
}

}  // namespace assay
