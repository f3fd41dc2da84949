#include <benchmark/benchmark.h>

#include <map>
#include <memory>

#include "base/aligned.hpp"
#include "kernels/cases.hpp"

// One thread's speed of every matmul, for every table this processor can run:
//   decode/TABLE/FORMAT/ROWSxCOLS   one token; bytes_per_second counts the packed weight
//   prefill/TABLE/FORMAT            256 tokens; items_per_second counts multiply-adds
//   read_bandwidth/MIB              a plain read of as many bytes, the roof of decode
// Compare ratios: read_bandwidth is measured in the same run because the machine may be shared.

namespace assay {
namespace {

using test::Draw;

/// As in ggml's test-backend-ops (perf, MUL_MAT), so that the figures can stand beside each other.
constexpr int64_t kRows = 4096, kCols = 14336;
constexpr int64_t kPrefillTokens = 256;

std::vector<WeightFormat> measured_formats() {
  std::vector<WeightFormat> formats;
  for (const WeightKind kind :
       {WeightKind::kF32, WeightKind::kF16, WeightKind::kBF16, WeightKind::kQ4_0, WeightKind::kQ4_1,
        WeightKind::kQ5_0, WeightKind::kQ5_1, WeightKind::kQ8_0, WeightKind::kQ2_K, WeightKind::kQ3_K,
        WeightKind::kQ4_K, WeightKind::kQ5_K, WeightKind::kQ6_K, WeightKind::kIQ4_NL, WeightKind::kIQ4_XS})
    formats.push_back(ggml_format(kind));
  for (const int bits : {4, 8, 2, 3, 5, 6}) formats.push_back(mlx_format(bits, 64, DType::kBF16));
  return formats;
}

void measure_decode(benchmark::State& state, const KernelTable& table, const WeightFormat& format) {
  Rng rng(1);
  const test::RandomWeight weight(format, kRows, kCols, Draw::kOrdinary, rng);
  const std::vector<float> x = test::random_activations(kCols, Draw::kOrdinary, rng);
  const test::QuantizedTokens codes(table, x, 1, kCols);
  std::vector<float> out(kRows);
  for (auto _ : state) {
    if (has_integer_products(format))
      table.matmul_fast(weight.view(), 0, kRows, codes.rows(), 1, out.data(), kRows);
    else
      table.matmul_exact(weight.view(), 0, kRows, x.data(), 1, out.data(), kRows);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * weight.view().bytes()));
}

void measure_prefill(benchmark::State& state, const KernelTable& table, const WeightFormat& format,
                     bool exact) {
  constexpr int64_t kPrefillRows = 512, kPrefillCols = 4096;
  Rng rng(2);
  const test::RandomWeight weight(format, kPrefillRows, kPrefillCols, Draw::kOrdinary, rng);
  const std::vector<float> x = test::random_activations(kPrefillTokens * kPrefillCols, Draw::kOrdinary, rng);
  const AlignedVector<float> aligned(x.begin(), x.end());
  const test::QuantizedTokens codes(table, x, kPrefillTokens, kPrefillCols);
  std::vector<float> out(kPrefillTokens * kPrefillRows);
  for (auto _ : state) {
    if (exact)
      table.matmul_exact(weight.view(), 0, kPrefillRows, aligned.data(), kPrefillTokens, out.data(),
                         kPrefillRows);
    else
      table.matmul_fast(weight.view(), 0, kPrefillRows, codes.rows(), kPrefillTokens, out.data(),
                        kPrefillRows);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kPrefillTokens * kPrefillRows * kPrefillCols);
}

/// Reads with the widest loads the table's dot product has; four streams, as the decode loops have.
void measure_read(benchmark::State& state) {
  const auto floats = static_cast<size_t>(state.range(0)) << 18;
  const std::vector<float> memory(floats, 1.0f);
  const KernelTable& table = *available_kernels().back();
  const WeightView view{.format = ggml_format(WeightKind::kF32),
                        .rows = static_cast<int64_t>(floats / 4096),
                        .cols = 4096,
                        .codes = std::as_bytes(std::span(memory)),
                        .scales = {},
                        .biases = {}};
  const std::vector<float> x(4096, 1.0f);
  std::vector<float> out(static_cast<size_t>(view.rows));
  for (auto _ : state) {
    table.matmul_exact(view, 0, view.rows, x.data(), 1, out.data(), view.rows);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * view.bytes()));
}

void measure_quantize(benchmark::State& state, const KernelTable& table) {
  Rng rng(3);
  const std::vector<float> x = test::random_activations(kCols, Draw::kOrdinary, rng);
  for (auto _ : state) test::QuantizedTokens(table, x, 1, kCols);
  state.SetItemsProcessed(state.iterations() * kCols);
}

bool register_all() {
  benchmark::RegisterBenchmark("read_bandwidth", measure_read)->Arg(32)->Arg(256)->UseRealTime();
  for (const KernelTable* table : available_kernels()) {
    const std::string isa(table->isa);
    if (isa == "scalar") continue;  // the specification, not a contender
    benchmark::RegisterBenchmark(("quantize/" + isa).c_str(), measure_quantize, *table);
    for (const WeightFormat& format : measured_formats()) {
      const std::string name = isa + "/" + format_name(format);
      benchmark::RegisterBenchmark(("decode/" + name).c_str(), measure_decode, *table, format)
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
      if (has_integer_products(format))
        benchmark::RegisterBenchmark(("prefill/" + name).c_str(), measure_prefill, *table, format, false)
            ->Unit(benchmark::kMillisecond);
      benchmark::RegisterBenchmark(("prefill_exact/" + name).c_str(), measure_prefill, *table, format, true)
          ->Unit(benchmark::kMillisecond);
    }
  }
  return true;
}

const bool kRegistered = register_all();

}  // namespace
}  // namespace assay
