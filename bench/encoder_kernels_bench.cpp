#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "kernels/encoder_int_cases.hpp"
#include "kernels/integer_peak.hpp"

// One thread's speed of the encoders' integer products, for every table this processor can run:
//   int8/TABLE/TOKENSxROWSxCOLS   and int4g64/…, int4g32/…
//   quantize/TABLE/COLS           GB/s counts the floats read
// GMAC/s is that of the fastest call, because the machine may be shared, and peak the share it has of what
// the table's instruction does on registers alone, measured before and after. A bias is added and nothing
// else; "gelu" in the name: and the activation between the two products of a feed-forward layer.

namespace assay {
namespace {

/// Runs `call` once an iteration and returns the seconds of the fastest.
template <class Call>
double fastest(benchmark::State& state, Call call) {
  using Clock = std::chrono::steady_clock;
  double best = std::numeric_limits<double>::infinity();
  for (auto _ : state) {
    const auto start = Clock::now();
    call();
    benchmark::ClobberMemory();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

void measure_product(benchmark::State& state, const EncoderKernels& table, const test::ProductShape& shape,
                     Activation activation) {
  Rng rng(1);
  test::IntProduct product(shape, test::Codes::kAny, rng);
  // Results near 1, as activations meet them.
  for (float& scale : product.scales) scale = shape.group_size ? 0.01f : 0.0006f;
  const auto panels = product.pack(table);
  test::Lines<float> out(static_cast<size_t>(shape.tokens * shape.rows));
  const Epilogue epilogue{.bias = product.bias.data(), .activation = activation};
  const ProductRange range{0, shape.tokens, 0, shape.rows};
  const double peak_before = measure_integer_peak(table.isa);
  const double seconds =
      fastest(state, [&] { product.multiply(table, panels, range, epilogue, out.data(), shape.rows); });
  const double peak = std::max(peak_before, measure_integer_peak(table.isa));
  const double speed = static_cast<double>(shape.tokens * shape.rows * shape.cols) / seconds;
  state.counters["GMAC/s"] = speed * 1e-9;
  state.counters["peak"] = speed / peak;
}

void measure_quantize(benchmark::State& state, const EncoderKernels& table, int64_t cols) {
  constexpr int64_t kTokens = 64;
  Rng rng(2);
  test::Lines<float> x(static_cast<size_t>(kTokens * cols));
  for (float& value : x) value = static_cast<float>(rng.normal());
  test::Lines<int8_t> codes(x.size());
  std::vector<float> scales(kTokens), offsets(kTokens);
  const double seconds = fastest(state, [&] {
    table.quantize_tokens(x.data(), cols, kTokens, cols, codes.data(), cols, scales.data(), offsets.data());
  });
  state.counters["GB/s"] = static_cast<double>(x.size() * sizeof(float)) / seconds * 1e-9;
}

/// Rows × cols of the products of MiniLM (384), BERT base and DistilBERT (768).
constexpr std::pair<int64_t, int64_t> kWeights[] = {{1152, 384}, {384, 384},  {1536, 384}, {384, 1536},
                                                    {768, 768},  {2304, 768}, {3072, 768}, {768, 3072}};

bool register_all() {
  const auto unit = benchmark::kMicrosecond;
  for (const EncoderKernels* table : available_encoder_kernels()) {
    const std::string isa(table->isa);
    if (isa == "scalar") continue;  // the specification, not a contender
    for (const int64_t cols : {384, 1536})
      benchmark::RegisterBenchmark(("quantize/" + isa + "/" + std::to_string(cols)).c_str(), measure_quantize,
                                   *table, cols);
    for (const int64_t group_size : {0, 64, 32})
      for (const int64_t tokens : {16, 512, 4096})
        for (const auto& [rows, cols] : kWeights) {
          const test::ProductShape shape{rows, cols, tokens, group_size};
          const std::string format = group_size == 0 ? "int8" : "int4g" + std::to_string(group_size);
          const std::string name = format + "/" + isa + "/" + std::to_string(tokens) + "x" +
                                   std::to_string(rows) + "x" + std::to_string(cols);
          benchmark::RegisterBenchmark(name.c_str(), measure_product, *table, shape, Activation::kNone)
              ->Unit(unit);
          if (rows == 4 * cols)
            benchmark::RegisterBenchmark((name + "/gelu").c_str(), measure_product, *table, shape,
                                         Activation::kGeluErf)
                ->Unit(unit);
        }
  }
  return true;
}

const bool kRegistered = register_all();

}  // namespace
}  // namespace assay
