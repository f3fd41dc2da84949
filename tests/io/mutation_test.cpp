/// Valid small files, damaged at random a few thousand times with a fixed seed: a reader may accept or throw
/// Error, nothing else. Run under the sanitizers this is the proof that hostile bytes stay bytes.
#include <algorithm>
#include <functional>

#include "base/rng.hpp"
#include "io/corrupt_files.hpp"
#include "io/gguf_layout.hpp"
#include "io/json_text.hpp"
#include "io/npz.hpp"
#include "io/safetensors_layout.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

/// Flips a bit, sets a byte or a whole number to an extreme, cuts, repeats or removes a run.
void mutate(std::string& bytes, Rng& rng) {
  if (bytes.empty()) return;
  const auto below = [&](size_t limit) { return static_cast<size_t>(rng.next() % limit); };
  const size_t at = below(bytes.size());
  const size_t run = std::min(bytes.size() - at, 1 + below(16));
  switch (below(6)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
      break;
    case 1:
      bytes[at] = static_cast<char>(rng.next());
      break;
    case 2: {
      constexpr uint64_t kExtremes[] = {0, 1, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX, 0xffffffff};
      const std::string number = test::raw(kExtremes[below(std::size(kExtremes))]);
      bytes.replace(at, std::min<size_t>(8, bytes.size() - at), number);
      break;
    }
    case 3:
      bytes.resize(at);
      break;
    case 4:
      bytes.insert(below(bytes.size()), bytes.substr(at, run));
      break;
    default:
      bytes.erase(at, run);
      break;
  }
}

/// Touches every byte a reader hands out, so that a view past the file shows itself.
uint64_t sum_bytes(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<uint64_t>(byte);
  return sum;
}

/// The bytes in a block of exactly their size, where the address sanitizer sees the first byte too many.
std::vector<std::byte> exact_copy(const std::string& bytes) {
  const auto span = std::as_bytes(std::span(bytes));
  return {span.begin(), span.end()};
}

void read_safetensors(const std::string& bytes) {
  const std::vector<std::byte> copy = exact_copy(bytes);
  for (const TensorView& tensor : parse_safetensors(copy, "mutant").tensors) {
    ASSERT_EQ(tensor.bytes.size(),
              static_cast<size_t>(count_elements(tensor.shape)) * dtype_bytes(tensor.dtype));
    sum_bytes(tensor.bytes);
  }
}
void read_gguf(const std::string& bytes) {
  const std::vector<std::byte> copy = exact_copy(bytes);
  for (const GgufTensor& tensor : parse_gguf(copy, "mutant").tensors) {
    sum_bytes(tensor.bytes);
    const size_t row = row_bytes(tensor.view().format, tensor.cols()).codes;
    ASSERT_EQ(tensor.view().bytes(), static_cast<size_t>(tensor.rows()) * row);
  }
}
void read_npz(const std::string& bytes) {
  static const test::TemporaryFolder folder;
  test::write_file(folder / "mutant.npz", bytes);
  const NpzFile file(folder / "mutant.npz");
  for (const NpzArray& array : file.arrays()) sum_bytes(file.read(array));
}

struct Outcome {
  int accepted = 0, refused = 0;
};

Outcome mutate_and_read(const std::string& whole, int rounds, uint64_t seed,
                        const std::function<void(const std::string&)>& read) {
  Outcome outcome;
  Rng rng(seed);
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = whole;
    for (uint64_t times = 1 + rng.next() % 3; times > 0; --times) mutate(bytes, rng);
    try {
      read(bytes);
      ++outcome.accepted;
    } catch (const Error& error) {
      EXPECT_FALSE(std::string(error.what()).empty());
      ++outcome.refused;
    }
  }
  return outcome;
}

/// Both ends must occur, or the mutations prove nothing: some bytes are free (tensor data), most are not.
void expect_both(const Outcome& outcome) {
  EXPECT_GT(outcome.accepted, 0);
  EXPECT_GT(outcome.refused, outcome.accepted / 10);
}

std::string golden(const std::string& name) {
  return test::read_file(test::source_file("tests/golden/io/" + name));
}

constexpr int kRounds = 20000;
constexpr int kFileRounds = 1500;  // through the disk, as libzip opens files

TEST(Mutation, Safetensors) {
  expect_both(mutate_and_read(golden("small.safetensors"), kRounds, 1, read_safetensors));
}
TEST(Mutation, Gguf) {
  expect_both(mutate_and_read(golden("every_type.gguf"), kRounds, 2, read_gguf));
}
TEST(Mutation, NpzStored) {
  expect_both(mutate_and_read(golden("stored.npz"), kFileRounds, 3, read_npz));
}
TEST(Mutation, NpzDeflated) {
  expect_both(mutate_and_read(golden("deflated.npz"), kFileRounds, 4, read_npz));
}
TEST(Mutation, Json) {
  const std::string text =
      R"({"architectures":["A"],"rope_scaling":{"factor":8.0,"type":null},"n":[1,-2,3.5e1]})";
  expect_both(
      mutate_and_read(text, kRounds, 5, [](const std::string& bytes) { parse_json(bytes, "mutant"); }));
}

}  // namespace
}  // namespace assay
