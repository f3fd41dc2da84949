#include <benchmark/benchmark.h>

#include "kernels/cases.hpp"
#include "kernels/mixture.hpp"

// One thread's speed of the rows of KernelTable that are no products with weights, for every table this
// processor can run; kernels_bench.cpp has those that are. GB/s counts what is read and written once.
//   decode_row/TABLE/FORMAT       dequantize_row of 4096 columns
//   dot, dot_f16, add_scaled, …   /TABLE/LENGTH
//   score, mix (…_f16, onto)      /TABLE/KEYS: four queries that share keys of 128 elements

namespace assay {
namespace {

using test::Draw;

// A row that is added to the table wants a line here or in kernels_bench.cpp.
static_assert(sizeof(KernelTable) == sizeof(std::string_view) + 16 * sizeof(void (*)()));

constexpr int64_t kHeadDim = 128, kQueries = 4, kRowCols = 4096;

std::vector<uint16_t> halves_of(const std::vector<float>& x) {
  std::vector<uint16_t> halves;
  for (const float value : x) halves.push_back(f16_from_float(value));
  return halves;
}

/// Floats, the same as halves, and a place to write to.
struct Operands {
  explicit Operands(int64_t count) {
    Rng rng(1);
    x = test::random_activations(count, Draw::kOrdinary, rng);
    y = test::random_activations(count, Draw::kOrdinary, rng);
    halves = halves_of(x);
    out.resize(static_cast<size_t>(count));
  }
  std::vector<float> x, y, out;
  std::vector<uint16_t> halves;
};

/// Registers `call(operands, length)` under NAME/TABLE for lengths of a head, a row and a long row;
/// bytes_each: read and written per element.
template <class Call>
void add_vector(const std::string& name, int64_t bytes_each, Call call) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 const int64_t n = state.range(0);
                                 Operands operands(n);
                                 for (auto _ : state) {
                                   call(operands, n);
                                   benchmark::ClobberMemory();
                                 }
                                 state.SetBytesProcessed(state.iterations() * n * bytes_each);
                               })
      ->Arg(128)
      ->Arg(kRowCols)
      ->Arg(14336);
}

/// The same for four queries beside so many keys, or mixtures of so many values.
template <class Call>
void add_attention(const std::string& name, int64_t bytes_each, Call call) {
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) {
        const int64_t keys = state.range(0);
        const Operands rows(keys * kHeadDim), queries(kQueries * kHeadDim);
        std::vector<float> scores(static_cast<size_t>(kQueries * keys), 0.01f),
            out(static_cast<size_t>(kQueries * kHeadDim));
        for (auto _ : state) {
          call(Queries{queries.x.data(), kHeadDim, kQueries, kHeadDim}, rows, keys, scores, out);
          benchmark::ClobberMemory();
        }
        state.SetBytesProcessed(state.iterations() * keys * kHeadDim * bytes_each);
        state.SetItemsProcessed(state.iterations() * keys * kHeadDim * kQueries);
      })
      ->Arg(256)
      ->Arg(8192);
}

void add_decoding(const KernelTable& table) {
  for (const WeightFormat& format : test::kernel_formats()) {
    if (format.kind == WeightKind::kMlxAffine &&
        (format.group_size != 64 || format.scale_type != DType::kBF16))
      continue;
    benchmark::RegisterBenchmark(("decode_row/" + std::string(table.isa) + "/" + format_name(format)).c_str(),
                                 [&table, format](benchmark::State& state) {
                                   Rng rng(2);
                                   const test::RandomWeight weight(format, 1, kRowCols, Draw::kOrdinary, rng);
                                   std::vector<float> out(kRowCols);
                                   for (auto _ : state) {
                                     table.dequantize_row(format, packed_row(weight.view(), 0), kRowCols,
                                                          out.data());
                                     benchmark::ClobberMemory();
                                   }
                                   state.SetItemsProcessed(state.iterations() * kRowCols);
                                 });
  }
}

void add_vectors(const KernelTable& t) {
  const std::string isa(t.isa);
  add_vector("dot/" + isa, 8,
             [&t](Operands& o, int64_t n) { benchmark::DoNotOptimize(t.dot(o.x.data(), o.y.data(), n)); });
  add_vector("dot_f16/" + isa, 6, [&t](Operands& o, int64_t n) {
    benchmark::DoNotOptimize(t.dot_f16(o.y.data(), o.halves.data(), n));
  });
  add_vector("add_scaled/" + isa, 12,
             [&t](Operands& o, int64_t n) { t.add_scaled(0.5f, o.x.data(), o.out.data(), n); });
  add_vector("add_scaled_f16/" + isa, 10,
             [&t](Operands& o, int64_t n) { t.add_scaled_f16(0.5f, o.halves.data(), o.out.data(), n); });
  add_vector("rms_norm/" + isa, 12,
             [&t](Operands& o, int64_t n) { t.rms_norm(o.x.data(), o.y.data(), 1e-6f, n, o.out.data()); });
  add_vector("softmax/" + isa, 8, [&t](Operands& o, int64_t n) { t.softmax(o.x.data(), n); });
  add_vector("silu_mul/" + isa, 12,
             [&t](Operands& o, int64_t n) { t.silu_mul(o.x.data(), o.y.data(), n, o.out.data()); });
  add_vector("f16_from_f32/" + isa, 6,
             [&t](Operands& o, int64_t n) { t.f16_from_f32(o.x.data(), n, o.halves.data()); });
}

void add_attentions(const KernelTable& t) {
  const std::string isa(t.isa);
  add_attention("score/" + isa, 4, [&t](Queries q, const Operands& rows, int64_t keys, auto& scores, auto&) {
    t.score(q, rows.x.data(), keys, 0.1f, scores.data(), keys);
  });
  add_attention("score_f16/" + isa, 2,
                [&t](Queries q, const Operands& rows, int64_t keys, auto& scores, auto&) {
                  t.score_f16(q, rows.halves.data(), keys, 0.1f, scores.data(), keys);
                });
  add_attention("mix/" + isa, 4, [&t](Queries, const Operands& rows, int64_t keys, auto& scores, auto& out) {
    t.mix(scores.data(), keys, kQueries, rows.x.data(), keys, kHeadDim, out.data(), kHeadDim);
  });
  add_attention(
      "mix_f16/" + isa, 2, [&t](Queries, const Operands& rows, int64_t keys, auto& scores, auto& out) {
        t.mix_f16(scores.data(), keys, kQueries, rows.halves.data(), keys, kHeadDim, out.data(), kHeadDim);
      });
  const MixOnto mix_onto = mixture_kernel(t.isa);
  add_attention(
      "mix_onto/" + isa, 4, [mix_onto](Queries, const Operands& rows, int64_t keys, auto& scores, auto& out) {
        mix_onto(scores.data(), keys, kQueries, rows.x.data(), keys, kHeadDim, out.data(), kHeadDim);
      });
}

bool register_all() {
  for (const KernelTable* table : available_kernels()) {
    if (table->isa == "scalar") continue;  // the specification, not a contender
    add_decoding(*table);
    add_vectors(*table);
    add_attentions(*table);
  }
  return true;
}

const bool kRegistered = register_all();

}  // namespace
}  // namespace assay
