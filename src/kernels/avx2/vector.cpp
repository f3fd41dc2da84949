#include "kernels/avx2/exp.hpp"
#include "kernels/avx2/lanes.hpp"
#include "kernels/avx2/plain.hpp"
#include "kernels/avx2/quad.hpp"

// The functions over plain vectors, and the table. The rest of a vector that fills no 16 lanes goes through
// zero-padded copies.

namespace assay {
namespace avx2 {
namespace {

/// The largest magnitude of 32 values as bits; a NaN ranks above infinity.
ASSAY_INLINE uint32_t largest_magnitude(const __m256* x) {
  const __m256i kMagnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i)
    largest = _mm256_max_epu32(largest, _mm256_and_si256(_mm256_castps_si256(x[i]), kMagnitude));
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epu32(four, _mm_shuffle_epi32(four, 1))));
}

ASSAY_INLINE int32_t sum_lanes(__m256i lanes) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  four = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 1)));
}

/// Codes of 16 values, and their sum added lane by lane.
ASSAY_INLINE __m128i quantize16(__m256 low, __m256 high, __m256 inverse, __m256i& sum) {
  const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(low, inverse));
  const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(high, inverse));
  sum = _mm256_add_epi32(sum, _mm256_add_epi32(a, b));
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), _MM_SHUFFLE(3, 1, 2, 0));
  return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

void quantize_activations(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums) {
  const int64_t groups = cols / 32;
  for (int64_t group = 0; group < groups; ++group) {
    int8_t* at = codes + 32 * group;
    __m256 values[4];
    for (int i = 0; i < 4; ++i) values[i] = _mm256_loadu_ps(x + 32 * group + 8 * i);
    const uint32_t magnitude = largest_magnitude(values);
    __m128i low = _mm_setzero_si128(), high = low;
    __m256i sum = _mm256_setzero_si256();
    float scale = 0.0f;
    if (magnitude >= kInfinityBits) {
      const uint32_t nan = 0x7fc00000u;
      std::memcpy(&scale, &nan, sizeof scale);
    } else if (magnitude >= kTinyActivationBits) {
      float largest;
      std::memcpy(&largest, &magnitude, sizeof largest);
      const __m256 inverse = _mm256_set1_ps(127.0f / largest);
      scale = largest / 127.0f;
      low = quantize16(values[0], values[1], inverse, sum);
      high = quantize16(values[2], values[3], inverse, sum);
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 16), high);
    scales[group] = scale;
    sums[group] = sum_lanes(sum);
  }
}

template <class B>
ASSAY_INLINE float dot_product(const float* a, const B* b, int64_t n) {
  Lanes acc = splat(0.0f);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) acc = multiply_add(load(a + i), load(b + i), acc);
  if (i < n) acc = multiply_add(load(a + i, n - i), load(b + i, n - i), acc);
  return reduce(acc);
}

template <class X>
ASSAY_INLINE void add_scaled_vector(float scale, const X* x, float* y, int64_t n) {
  const Lanes factor = splat(scale);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, multiply_add(factor, load(x + i), load(y + i)));
  if (i < n) store(y + i, multiply_add(factor, load(x + i, n - i), load(y + i, n - i)), n - i);
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
  const __m256 root = _mm256_sqrt_ps(_mm256_set1_ps(mean + eps));
  const Lanes inverse = splat(_mm256_cvtss_f32(_mm256_div_ps(_mm256_set1_ps(1.0f), root)));
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, multiply(multiply(load(x + i), inverse), load(weight + i)));
  if (i < n) store(out + i, multiply(multiply(load(x + i, n - i), inverse), load(weight + i, n - i)), n - i);
}

/// With the candidate first a NaN in it is passed over, as in scalar code.
ASSAY_INLINE Lanes largest_of(Lanes candidate, Lanes largest) {
  return {_mm256_max_ps(candidate.low, largest.low), _mm256_max_ps(candidate.high, largest.high)};
}

float largest_element(const float* x, int64_t n) {
  const float lowest = -__builtin_inff();
  Lanes largest = splat(lowest);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) largest = largest_of(load(x + i), largest);
  if (i < n) largest = largest_of(load(x + i, n - i, lowest), largest);
  float lanes[16];
  store(lanes, largest);
  float result = lowest;
  for (const float lane : lanes) result = lane > result ? lane : result;
  return result;
}

void softmax(float* x, int64_t n) {
  const Lanes shift = splat(-largest_element(x, n));
  Lanes acc = splat(0.0f);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Lanes power = exp_approximate(add(load(x + i), shift));
    store(x + i, power);
    acc = add(acc, power);
  }
  if (i < n) {
    store(x + i, exp_approximate(add(load(x + i, n - i), shift)), n - i);
    acc = add(acc, load(x + i, n - i));
  }
  const Lanes inverse = splat(1.0f / reduce(acc));
  for (i = 0; i + 16 <= n; i += 16) store(x + i, multiply(load(x + i), inverse));
  if (i < n) store(x + i, multiply(load(x + i, n - i), inverse), n - i);
}

ASSAY_INLINE __m256 silu_mul8(__m256 gate, __m256 up) {
  const __m256 power = exp_approximate(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), power)), up);
}

ASSAY_INLINE Lanes silu_mul16(Lanes gate, Lanes up) {
  return {silu_mul8(gate.low, up.low), silu_mul8(gate.high, up.high)};
}

void silu_mul(const float* gate, const float* up, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, silu_mul16(load(gate + i), load(up + i)));
  if (i < n) store(out + i, silu_mul16(load(gate + i, n - i), load(up + i, n - i)), n - i);
}

ASSAY_INLINE void store_f16(uint16_t* out, Lanes lanes) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_cvtps_ph(lanes.low, kNearest));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8), _mm256_cvtps_ph(lanes.high, kNearest));
}

void f16_from_f32(const float* x, int64_t n, uint16_t* out) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store_f16(out + i, load(x + i));
  if (i == n) return;
  uint16_t rest[16];
  store_f16(rest, load(x + i, n - i));
  std::memcpy(out + i, rest, static_cast<size_t>(n - i) * sizeof(uint16_t));
}

using Fast = void(const PackedMatrix&, int64_t, int64_t, const QuantizedRow*, int64_t, float*,
                  int64_t) noexcept;
using Decode = void(const PackedMatrix&, int64_t, int64_t, int64_t, float*) noexcept;
struct FormatLoops {
  Fast* fast;
  Decode* decode;
};

FormatLoops loops_of(const PackedMatrix& matrix) {
  switch (matrix.layout) {
    case Layout::kQ4_0:
      return {fast_q4_0, decode_q4_0};
    case Layout::kQ4_1:
      return {fast_q4_1, decode_q4_1};
    case Layout::kQ5_0:
      return {fast_q5_0, decode_q5_0};
    case Layout::kQ5_1:
      return {fast_q5_1, decode_q5_1};
    case Layout::kQ8_0:
      return {fast_q8_0, decode_q8_0};
    case Layout::kQ4_K:
      return {fast_q4_k, decode_q4_k};
    case Layout::kQ5_K:
      return {fast_q5_k, decode_q5_k};
    case Layout::kQ6_K:
      return {fast_q6_k, decode_q6_k};
    default:
      break;
  }
  if (matrix.bits == 4) return {fast_mlx4, decode_mlx4};
  if (matrix.bits == 8) return {fast_mlx8, decode_mlx8};
  return {fast_mlx_other, decode_mlx_other};
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
}  // namespace avx2

const IsaTable kAvx2Isa = {
    .name = "avx2",
    .decode = avx2::decode_any,
    .accumulate = avx2::accumulate,
    .matmul_plain = avx2::matmul_plain,
    .multiply_float_panel = avx2::multiply_float_panel,
    .matmul_fast = avx2::matmul_fast,
    .panel_bytes = nullptr,
    .matmul_panels = nullptr,
    .score = nullptr,
    .score_f16 = nullptr,
    .mix = nullptr,
    .mix_f16 = nullptr,
    .quantize_activations = avx2::quantize_activations,
    .dot = avx2::dot,
    .dot_f16 = avx2::dot_f16,
    .add_scaled = avx2::add_scaled,
    .add_scaled_f16 = avx2::add_scaled_f16,
    .rms_norm = avx2::rms_norm,
    .softmax = avx2::softmax,
    .silu_mul = avx2::silu_mul,
    .f16_from_f32 = avx2::f16_from_f32,
};

}  // namespace assay
