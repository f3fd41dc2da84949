#include "kernels/avx512/attention.hpp"
#include "kernels/avx512/exp.hpp"
#include "kernels/avx512/intrinsics.hpp"
#include "kernels/avx512/panel.hpp"
#include "kernels/avx512/plain.hpp"
#include "kernels/avx512/quad.hpp"

// The functions over plain vectors, and the table. Lanes past the end of a vector are masked to zero.

namespace assay {
namespace avx512 {
namespace {

/// Calls body(begin, lanes) for every 16 elements.
template <class Body>
ASSAY_INLINE void for_lanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, static_cast<__mmask16>(0xffff));
  if (i < n) body(i, first_lanes(n - i));
}

ASSAY_INLINE __m512 load(const float* x, __mmask16 lanes) {
  return _mm512_maskz_loadu_ps(lanes, x);
}
ASSAY_INLINE __m512 load(const uint16_t* x, __mmask16 lanes) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, x));
}

/// Codes of 16 values, and their sum added lane by lane.
ASSAY_INLINE __m128i quantize16(__m512 x, __m512 inverse, __m512i& sum) {
  const __m512i codes = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
  sum = _mm512_add_epi32(sum, codes);
  return _mm512_cvtepi32_epi8(codes);
}

void quantize_activations(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums) {
  const int64_t groups = cols / 32;
  for (int64_t group = 0; group < groups; ++group) {
    int8_t* at = codes + 32 * group;
    const __m512 first = _mm512_loadu_ps(x + 32 * group), second = _mm512_loadu_ps(x + 32 * group + 16);
    const __m512i kMagnitude = _mm512_set1_epi32(0x7fffffff);
    const uint32_t magnitude =
        _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(first), kMagnitude),
                                                 _mm512_and_si512(_mm512_castps_si512(second), kMagnitude)));
    __m128i low = _mm_setzero_si128(), high = low;
    __m512i sum = _mm512_setzero_si512();
    float scale = 0.0f;
    if (magnitude >= kInfinityBits) {
      const uint32_t nan = 0x7fc00000u;
      std::memcpy(&scale, &nan, sizeof scale);
    } else if (magnitude >= kTinyActivationBits) {
      float largest;
      std::memcpy(&largest, &magnitude, sizeof largest);
      const __m512 inverse = _mm512_set1_ps(127.0f / largest);
      scale = largest / 127.0f;
      low = quantize16(first, inverse, sum);
      high = quantize16(second, inverse, sum);
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 16), high);
    scales[group] = scale;
    sums[group] = _mm512_reduce_add_epi32(sum);
  }
}

template <class B>
ASSAY_INLINE float dot_product(const float* a, const B* b, int64_t n) {
  __m512 acc = _mm512_setzero_ps();
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        acc = _mm512_fmadd_ps(load(a + i, lanes), load(b + i, lanes), acc);
      });
  return reduce16(acc);
}

template <class X>
ASSAY_INLINE void add_scaled_vector(float scale, const X* x, float* y, int64_t n) {
  const __m512 factor = _mm512_set1_ps(scale);
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        _mm512_mask_storeu_ps(y + i, lanes, _mm512_fmadd_ps(factor, load(x + i, lanes), load(y + i, lanes)));
      });
}

float dot(const float* a, const float* b, int64_t n) {
  return dot_product(a, b, n);
}
float dot_f16(const float* a, const uint16_t* b, int64_t n) {
  return dot_product(a, b, n);
}
void add_scaled(float scale, const float* x, float* y, int64_t n) {
  add_scaled_vector(scale, x, y, n);
}
void add_scaled_f16(float scale, const uint16_t* x, float* y, int64_t n) {
  add_scaled_vector(scale, x, y, n);
}

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const __m512 root = _mm512_sqrt_ps(_mm512_set1_ps(mean + eps));
  const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1.0f), root);
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        const __m512 normal = _mm512_mul_ps(load(x + i, lanes), inverse);
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(normal, load(weight + i, lanes)));
      });
}

void softmax(float* x, int64_t n) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 largest = lowest;
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        // With the candidate first a NaN in it is passed over, as in scalar code.
        largest = _mm512_max_ps(_mm512_mask_loadu_ps(lowest, lanes, x + i), largest);
      });
  const __m512 maximum = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
  __m512 acc = _mm512_setzero_ps();
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        const __m512 power = exp_approximate(_mm512_sub_ps(load(x + i, lanes), maximum));
        _mm512_mask_storeu_ps(x + i, lanes, power);
        acc = _mm512_mask_add_ps(acc, lanes, acc, power);
      });
  const __m512 inverse = _mm512_set1_ps(1.0f / reduce16(acc));
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        _mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(load(x + i, lanes), inverse));
      });
}

void silu_mul(const float* gate, const float* up, int64_t n, float* out) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 sign = _mm512_set1_ps(-0.0f);
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        const __m512 g = load(gate + i, lanes);
        const __m512 divisor = _mm512_add_ps(one, exp_approximate(_mm512_xor_ps(g, sign)));
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(_mm512_div_ps(g, divisor), load(up + i, lanes)));
      });
}

void f16_from_f32(const float* x, int64_t n, uint16_t* out) {
  for_lanes(
      n, [&](int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        const __m256i words =
            _mm512_cvtps_ph(load(x + i, lanes), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16(out + i, lanes, words);
      });
}

void decode_any(const PackedMatrix& matrix, int64_t row, int64_t begin, int64_t count, float* out) noexcept {
  if (matrix.layout <= Layout::kBF16) return decode_plain(matrix, row, begin, count, out);
  loops_of(matrix).decode(matrix, row, begin, count, out);
}

void matmul_fast(const PackedMatrix& matrix, int64_t row_begin, int64_t row_end, const QuantizedRow* rows,
                 int64_t tokens, float* out, int64_t out_stride) noexcept {
  loops_of(matrix).fast(matrix, row_begin, row_end, rows, tokens, out, out_stride);
}

}  // namespace

const FormatLoops& loops_of(const PackedMatrix& matrix) noexcept {
  switch (matrix.layout) {
    case Layout::kQ4_0:
      return kQ4_0Loops;
    case Layout::kQ4_1:
      return kQ4_1Loops;
    case Layout::kQ5_0:
      return kQ5_0Loops;
    case Layout::kQ5_1:
      return kQ5_1Loops;
    case Layout::kQ8_0:
      return kQ8_0Loops;
    case Layout::kQ4_K:
      return kQ4_KLoops;
    case Layout::kQ5_K:
      return kQ5_KLoops;
    case Layout::kQ6_K:
      return kQ6_KLoops;
    default:
      return mlx_loops(matrix.bits, matrix.group_size);
  }
}

}  // namespace avx512

namespace {

constexpr IsaTable isa_table(const char* name, decltype(IsaTable::matmul_panels) matmul_panels) {
  return {
      .name = name,
      .decode = avx512::decode_any,
      .accumulate = avx512::accumulate,
      .matmul_plain = avx512::matmul_plain,
      .multiply_float_panel = avx512::multiply_float_panel,
      .matmul_fast = avx512::matmul_fast,
      .panel_bytes = avx512::panel_bytes,
      .matmul_panels = matmul_panels,
      .score = avx512::score,
      .score_f16 = avx512::score_f16,
      .mix = avx512::mix,
      .mix_f16 = avx512::mix_f16,
      .quantize_activations = avx512::quantize_activations,
      .dot = avx512::dot,
      .dot_f16 = avx512::dot_f16,
      .add_scaled = avx512::add_scaled,
      .add_scaled_f16 = avx512::add_scaled_f16,
      .rms_norm = avx512::rms_norm,
      .softmax = avx512::softmax,
      .silu_mul = avx512::silu_mul,
      .f16_from_f32 = avx512::f16_from_f32,
  };
}

}  // namespace

const IsaTable kAvx512Isa = isa_table("avx512vnni", avx512::matmul_panels);
/// The tiles of AMX multiply the panels; everything else is AVX-512's.
const IsaTable kAmxIsa = isa_table("amx", amx::matmul_panels);

}  // namespace assay
