#include "kernels/kernels.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernels/drivers.hpp"
#include "kernels/isa.hpp"
#include "kernels/tiles.hpp"

namespace assay {
namespace {

template <class T>
void drive_score(void (*isa)(const Queries&, const T*, int64_t, float, float*, int64_t) noexcept,
                 float (*dot)(const float*, const T*, int64_t), const Queries& queries, const T* keys,
                 int64_t n_keys, float scale, float* scores, int64_t stride) {
  if (isa != nullptr) return isa(queries, keys, n_keys, scale, scores, stride);
  for (int64_t i = 0; i < queries.count; ++i)
    for (int64_t k = 0; k < n_keys; ++k)
      scores[i * stride + k] =
          dot(queries.first + i * queries.stride, keys + k * queries.dim, queries.dim) * scale;
}

template <class T>
void drive_mix(void (*isa)(const float*, int64_t, int64_t, const T*, int64_t, int64_t, float*,
                           int64_t) noexcept,
               void (*add_scaled)(float, const T*, float*, int64_t), const float* weights, int64_t stride,
               int64_t queries, const T* values, int64_t n_keys, int64_t dim, float* out,
               int64_t out_stride) {
  if (isa != nullptr) return isa(weights, stride, queries, values, n_keys, dim, out, out_stride);
  for (int64_t i = 0; i < queries; ++i) {
    std::fill_n(out + i * out_stride, dim, 0.0f);
    for (int64_t k = 0; k < n_keys; ++k)
      add_scaled(weights[i * stride + k], values + k * dim, out + i * out_stride, dim);
  }
}

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
  static void score(const Queries& queries, const float* keys, int64_t n_keys, float scale, float* scores,
                    int64_t stride) {
    drive_score(kIsa.score, kIsa.dot, queries, keys, n_keys, scale, scores, stride);
  }
  static void score_f16(const Queries& queries, const uint16_t* keys, int64_t n_keys, float scale,
                        float* scores, int64_t stride) {
    drive_score(kIsa.score_f16, kIsa.dot_f16, queries, keys, n_keys, scale, scores, stride);
  }
  static void mix(const float* weights, int64_t stride, int64_t queries, const float* values, int64_t n_keys,
                  int64_t dim, float* out, int64_t out_stride) {
    drive_mix(kIsa.mix, kIsa.add_scaled, weights, stride, queries, values, n_keys, dim, out, out_stride);
  }
  static void mix_f16(const float* weights, int64_t stride, int64_t queries, const uint16_t* values,
                      int64_t n_keys, int64_t dim, float* out, int64_t out_stride) {
    drive_mix(kIsa.mix_f16, kIsa.add_scaled_f16, weights, stride, queries, values, n_keys, dim, out,
              out_stride);
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
      .score = B::score,
      .score_f16 = B::score_f16,
      .mix = B::mix,
      .mix_f16 = B::mix_f16,
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
