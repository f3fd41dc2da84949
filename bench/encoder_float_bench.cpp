#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/encoder_kernels.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// One thread's speed of the encoders' float kernels, for the chosen table (ASSAY_ISA names another):
//   multiply/ROWSxCOLS/TOKENS, attend/HEAD_DIM/LENGTH   GFLOP/s, and the share of the peak
//   layer_norm, activate/N                              elements per second
// The peak is that of fused multiply-adds in registers, measured just before each case because the machine
// may be shared. Time is the thread's own.

namespace assay {
namespace {

using Floats = std::vector<float>;

Floats random_floats(size_t count) {
  Floats x(count);
  uint32_t state = 1;
  for (float& value : x) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  return x;
}

constexpr int64_t kPeakRounds = 1 << 17;

#if defined(__x86_64__)
// The constraint keeps all twelve chains, whose values nobody wants, in registers.
#define ASSAY_TWELVE(F) F(a) F(b) F(c) F(d) F(e) F(f) F(g) F(h) F(i) F(j) F(k) F(l)
__attribute__((target("avx512f"))) double run_chains512() {
  const __m512 m = _mm512_set1_ps(0.5f);
#define ASSAY_CHAIN(x) __m512 x = m;
  ASSAY_TWELVE(ASSAY_CHAIN)
#undef ASSAY_CHAIN
  for (int64_t round = 0; round < kPeakRounds; ++round) {
#define ASSAY_CHAIN(x) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(x) : "v"(m));
    ASSAY_TWELVE(ASSAY_CHAIN)
#undef ASSAY_CHAIN
  }
  return 12.0 * 32 * kPeakRounds;
}
__attribute__((target("avx2,fma"))) double run_chains256() {
  const __m256 m = _mm256_set1_ps(0.5f);
#define ASSAY_CHAIN(x) __m256 x = m;
  ASSAY_TWELVE(ASSAY_CHAIN)
#undef ASSAY_CHAIN
  for (int64_t round = 0; round < kPeakRounds; ++round) {
#define ASSAY_CHAIN(x) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(x) : "x"(m));
    ASSAY_TWELVE(ASSAY_CHAIN)
#undef ASSAY_CHAIN
  }
  return 12.0 * 16 * kPeakRounds;
}
#endif

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Flops a second of fused multiply-adds as wide as the table's; 0 where unknown (scalar).
double measure_peak(std::string_view isa) {
  double best = 0;
#if defined(__x86_64__)
  for (int turn = 0; turn < 3 && isa != "scalar"; ++turn) {
    const double start = thread_seconds();
    const double flops = isa == "avx2" ? run_chains256() : run_chains512();
    best = std::max(best, flops / (thread_seconds() - start));
  }
#endif
  return best;
}

void report(benchmark::State& state, double flops_each, double peak) {
  const double total = flops_each * static_cast<double>(state.iterations());
  state.counters["flops"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
  if (peak > 0) state.counters["of_peak"] = benchmark::Counter(total / peak, benchmark::Counter::kIsRate);
}

void measure_multiply(benchmark::State& state, int64_t rows, int64_t cols, int64_t tokens,
                      Activation activation) {
  const EncoderKernels& table = encoder_kernels();
  const Floats weight = random_floats(static_cast<size_t>(rows * cols));
  const Floats x = random_floats(static_cast<size_t>(tokens * cols));
  const Floats bias = random_floats(static_cast<size_t>(rows));
  std::vector<std::byte> panels(table.f32_panel_bytes(rows, cols) + 64);
  std::byte* aligned = panels.data() + (64 - reinterpret_cast<uintptr_t>(panels.data()) % 64) % 64;
  table.pack_f32(weight.data(), rows, cols, aligned);
  Floats out(static_cast<size_t>(tokens * rows));
  const Epilogue epilogue{
      .bias = bias.data(), .activation = activation, .residual = nullptr, .residual_stride = 0};
  const double peak = measure_peak(table.isa);
  for (auto _ : state) {
    table.multiply_f32(aligned, rows, cols, x.data(), cols, {0, tokens, 0, rows}, epilogue, out.data(), rows);
    benchmark::ClobberMemory();
  }
  report(state, 2.0 * static_cast<double>(rows * cols * tokens), peak);
}

void measure_attend(benchmark::State& state, int64_t head_dim, int64_t length, int64_t window) {
  const EncoderKernels& table = encoder_kernels();
  constexpr int64_t kHeads = 12;  // q, k and v of all heads stand in one row, as in a model
  const int64_t stride = 3 * kHeads * head_dim, out_stride = kHeads * head_dim;
  const Floats qkv = random_floats(static_cast<size_t>(length * stride));
  Floats out(static_cast<size_t>(length * out_stride));
  Floats scratch(static_cast<size_t>(attention_scratch(length, head_dim)));
  const double peak = measure_peak(table.isa);
  for (auto _ : state) {
    for (int64_t head = 0; head < kHeads; ++head)
      table.attend({.q = qkv.data() + head * head_dim,
                    .k = qkv.data() + (kHeads + head) * head_dim,
                    .v = qkv.data() + (2 * kHeads + head) * head_dim,
                    .out = out.data() + head * head_dim,
                    .stride = stride,
                    .out_stride = out_stride,
                    .length = length,
                    .queries = length,
                    .head_dim = head_dim,
                    .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                    .window = window,
                    .relative = nullptr},
                   scratch.data());
    benchmark::ClobberMemory();
  }
  const int64_t keys = window > 0 ? std::min(length, window + 1) : length;
  report(state, 4.0 * static_cast<double>(kHeads * length * keys * head_dim), peak);
}

void measure_norm(benchmark::State& state, int64_t n) {
  Floats x = random_floats(static_cast<size_t>(n)), out(x.size());
  const Floats weight = random_floats(x.size());
  for (auto _ : state) {
    encoder_kernels().layer_norm(x.data(), weight.data(), weight.data(), 1e-5f, n, out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * n);
}

void measure_activate(benchmark::State& state, Activation activation) {
  Floats x = random_floats(4096);
  for (auto _ : state) {
    encoder_kernels().activate(activation, x.data(), 4096);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * 4096);
}

struct Shape {
  int64_t rows, cols;
};

const bool kRegistered = [] {
  for (const auto [rows, cols] : {Shape{384, 384}, Shape{1536, 384}, Shape{384, 1536}, Shape{768, 768},
                                  Shape{3072, 768}, Shape{768, 3072}, Shape{1024, 1024}})
    for (const int64_t tokens : {1, 4, 16, 64, 512})
      benchmark::RegisterBenchmark(
          ("multiply/" + std::to_string(rows) + "x" + std::to_string(cols) + "/" + std::to_string(tokens))
              .c_str(),
          measure_multiply, rows, cols, tokens, Activation::kNone);
  benchmark::RegisterBenchmark("multiply_gelu/3072x768/512", measure_multiply, 3072, 768, 512,
                               Activation::kGeluErf);
  for (const int64_t head_dim : {32, 64})
    for (const int64_t length : {16, 64, 128, 256, 512})
      benchmark::RegisterBenchmark(
          ("attend/" + std::to_string(head_dim) + "/" + std::to_string(length)).c_str(), measure_attend,
          head_dim, length, 0);
  benchmark::RegisterBenchmark("attend/64/2048/window_128", measure_attend, 64, 2048, 128);
  for (const int64_t n : {384, 768})
    benchmark::RegisterBenchmark(("layer_norm/" + std::to_string(n)).c_str(), measure_norm, n);
  for (const Activation activation : {Activation::kGeluErf, Activation::kGeluTanh, Activation::kTanh})
    benchmark::RegisterBenchmark(("activate/" + std::to_string(static_cast<int>(activation))).c_str(),
                                 measure_activate, activation);
  return true;
}();

}  // namespace
}  // namespace assay
