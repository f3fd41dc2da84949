#include "kernels/mixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/cases.hpp"

namespace assay::test {
namespace {

struct Mixture {
  int64_t queries, n_keys, dim, stride;
  std::vector<float> weights, values;
};

Mixture random_mixture(int64_t queries, int64_t n_keys, int64_t dim, Rng& rng) {
  const int64_t stride = n_keys + 3;
  return {queries,
          n_keys,
          dim,
          stride,
          random_activations(queries * stride, Draw::kOrdinary, rng),
          random_activations(n_keys * dim, Draw::kOrdinary, rng)};
}

/// The mixture with keys in blocks of `block`, rows out_stride apart, as a table's function makes it.
std::vector<float> mix_in_blocks(std::string_view isa, const Mixture& m, int64_t block) {
  const int64_t out_stride = m.dim + 5;
  std::vector<float> out(static_cast<size_t>(m.queries * out_stride), 0.0f);
  for (int64_t k = 0; k < m.n_keys; k += block)
    mixture_kernel(isa)(m.weights.data() + k, m.stride, m.queries, m.values.data() + k * m.dim,
                        std::min(block, m.n_keys - k), m.dim, out.data(), out_stride);
  return out;
}

/// KernelTable::mix over all keys at once, in the same layout.
std::vector<float> mix_at_once(const KernelTable& table, const Mixture& m) {
  const int64_t out_stride = m.dim + 5;
  std::vector<float> out(static_cast<size_t>(m.queries * out_stride), 0.0f);
  table.mix(m.weights.data(), m.stride, m.queries, m.values.data(), m.n_keys, m.dim, out.data(), out_stride);
  return out;
}

TEST(Mixture, BlocksOfKeysGiveTheBitsOfAllKeysAtOnceInEveryTable) {
  Rng rng(41);
  for (const int64_t dim : {1, 16, 40, 64, 80, 96, 128, 256})
    for (const int64_t queries : {1, 2, 3, 4, 7, 32}) {
      const Mixture mixture = random_mixture(queries, 77, dim, rng);
      const std::vector<float> expected = mix_at_once(*available_kernels().front(), mixture);
      for (const KernelTable* table : available_kernels())
        for (const int64_t block : {1, 16, 77})
          EXPECT_EQ(first_difference(expected, mix_in_blocks(table->isa, mixture, block)), "")
              << table->isa << " dim " << dim << " queries " << queries << " block " << block;
    }
}

TEST(MixturePlanted, AnotherOrderOfTheKeysShows) {
  Rng rng(42);
  Mixture mixture = random_mixture(4, 77, 64, rng);
  const std::vector<float> expected = mix_in_blocks("scalar", mixture, 16);
  for (int64_t q = 0; q < mixture.queries; ++q)
    std::swap(mixture.weights[static_cast<size_t>(q * mixture.stride)],
              mixture.weights[static_cast<size_t>(q * mixture.stride + 76)]);
  for (int64_t d = 0; d < mixture.dim; ++d)
    std::swap(mixture.values[static_cast<size_t>(d)],
              mixture.values[static_cast<size_t>(76 * mixture.dim + d)]);
  EXPECT_NE(first_difference(expected, mix_in_blocks("scalar", mixture, 16)), "");
}

}  // namespace
}  // namespace assay::test
