#include "kernels/kernels.hpp"

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernels/drivers.hpp"
#include "kernels/isa.hpp"
#include "kernels/tiles.hpp"

namespace assay {
namespace {

/// Gives the drivers, which need to know the instruction set, the plain
/// signatures of KernelTable.
template <const IsaTable& kIsa>
struct Bound {
  static void dequantize_row(const WeightFormat& format, PackedRow row, int64_t cols, float* out) {
    drive_dequantize(kIsa, format, row, cols, out);
  }
  static void matmul_exact(const WeightView& weight, int64_t row_begin, int64_t row_end, const float* x,
                           int64_t tokens, float* out, int64_t out_stride) {
    drive_exact(kIsa, weight, row_begin, row_end, x, tokens, out, out_stride);
  }
  static void matmul_fast(const WeightView& weight, int64_t row_begin, int64_t row_end,
                          const QuantizedRow* rows, int64_t tokens, float* out, int64_t out_stride) {
    drive_fast(kIsa, weight, row_begin, row_end, rows, tokens, out, out_stride);
  }
};

template <const IsaTable& kIsa>
const KernelTable* table() {
  using B = Bound<kIsa>;
  static const KernelTable kTable = {
      .isa = kIsa.name,
      .dequantize_row = B::dequantize_row,
      .matmul_exact = B::matmul_exact,
      .matmul_fast = B::matmul_fast,
      .quantize_activations = kIsa.quantize_activations,
      .dot = kIsa.dot,
      .dot_f16 = kIsa.dot_f16,
      .add_scaled = kIsa.add_scaled,
      .add_scaled_f16 = kIsa.add_scaled_f16,
      .rms_norm = kIsa.rms_norm,
      .softmax = kIsa.softmax,
      .silu_mul = kIsa.silu_mul,
      .f16_from_f32 = kIsa.f16_from_f32,
  };
  return &kTable;
}

/// Best last. __builtin_cpu_supports also asks the operating system whether it
/// saves the wide registers. F16C, which clang cannot be asked for, came with
/// every processor that has AVX2.
std::vector<const KernelTable*> find_tables() {
  std::vector<const KernelTable*> tables = {table<kScalarIsa>()};
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables.push_back(table<kAvx2Isa>());
  if (tables.size() > 1 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni"))
    tables.push_back(table<kAvx512Isa>());
  if (tables.size() > 2 && may_use_tiles()) tables.push_back(table<kAmxIsa>());
#endif
  return tables;
}

const KernelTable& choose_table() {
  const auto tables = available_kernels();
  const char* named = std::getenv("ASSAY_ISA");
  if (named == nullptr || *named == '\0') return *tables.back();
  std::string known;
  for (const KernelTable* candidate : tables) {
    if (candidate->isa == named) return *candidate;
    known += known.empty() ? "" : ", ";
    known += candidate->isa;
  }
  throw Error(Fault{.what = "this processor has no such instruction set",
                    .where = "ASSAY_ISA",
                    .expected = known,
                    .found = named,
                    .cause = {}});
}

}  // namespace

std::span<const KernelTable* const> available_kernels() noexcept {
  static const std::vector<const KernelTable*> kTables = find_tables();
  return kTables;
}

const KernelTable& kernels() {
  static const KernelTable& kChosen = choose_table();
  return kChosen;
}

}  // namespace assay
