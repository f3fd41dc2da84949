#include "io/npz_writer.hpp"

#include <cstring>
#include <numeric>

#include "io/byte_cursor.hpp"
#include "io/corrupt_files.hpp"
#include "io/npz.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;

/// Bytes 0, 1, 2 … over all arrays, so that an exchanged or shifted array is seen.
NpzFill counting_fill() {
  return [](size_t index, uint64_t offset, std::span<std::byte> out) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>((index * 37 + offset + i) % 251);
  };
}

const std::vector<NpzSpec> kSpecs = {
    {"layer.weight", DType::kI8, {3, 4}}, {"layer.weight.__scale__", DType::kF32, {}},
    {"layer.bias", DType::kF32, {5}},     {"half", DType::kF16, {2, 3}},
    {"empty", DType::kF32, {0, 7}},       {"größe", DType::kI64, {2}}};

TEST(NpzWriter, WhatIsWrittenIsReadBack) {
  const test::TemporaryFolder folder;
  write_npz(folder / "a.npz", kSpecs, counting_fill(), false);
  const NpzFile file(folder / "a.npz");
  ASSERT_EQ(file.arrays().size(), kSpecs.size());
  for (size_t i = 0; i < kSpecs.size(); ++i) {
    const NpzArray& array = file.arrays()[i];
    EXPECT_EQ(array.name, kSpecs[i].name);
    EXPECT_EQ(array.dtype, kSpecs[i].dtype);
    EXPECT_EQ(array.shape, kSpecs[i].shape);
    std::vector<std::byte> expected(array.bytes);
    counting_fill()(i, 0, expected);
    EXPECT_EQ(file.read(array), expected) << array.name;
  }
}

TEST(NpzWriter, TheSizeIsKnownBefore) {
  const test::TemporaryFolder folder;
  write_npz(folder / "a.npz", kSpecs, counting_fill(), false);
  EXPECT_EQ(std::filesystem::file_size(folder / "a.npz"), planned_npz_bytes(kSpecs));
}

TEST(NpzWriter, TheSizeIsKnownBeforeWithMoreMembersThan16BitsCount) {
  const test::TemporaryFolder folder;
  std::vector<NpzSpec> specs;
  for (int i = 0; i < 65536; ++i) specs.push_back({std::to_string(i), DType::kI8, {}});
  write_npz(folder / "a.npz", specs, counting_fill(), false);
  EXPECT_EQ(std::filesystem::file_size(folder / "a.npz"), planned_npz_bytes(specs));
  EXPECT_EQ(NpzFile(folder / "a.npz").arrays().size(), specs.size());
}

TEST(NpzWriter, TheSameNumbersGiveTheSameBytes) {
  const test::TemporaryFolder folder;
  write_npz(folder / "a.npz", kSpecs, counting_fill(), false);
  write_npz(folder / "b.npz", kSpecs, counting_fill(), false);
  const std::string first = test::read_file(folder / "a.npz");
  EXPECT_EQ(first, test::read_file(folder / "b.npz"));
  write_npz(
      folder / "b.npz", kSpecs,
      [](size_t, uint64_t, std::span<std::byte> out) { std::fill(out.begin(), out.end(), std::byte{1}); },
      true);
  EXPECT_NE(first, test::read_file(folder / "b.npz"));
}

TEST(NpzWriter, HeadersAreNumpysOwn) {
  // Written by numpy (tests/golden/npz/make_npz.py, tests/golden/io/make_golden.py).
  const std::string zip64 = test::read_file(test::source_file("tests/golden/npz/zip64.npz"));
  const std::string stored = test::read_file(test::source_file("tests/golden/io/stored.npz"));
  EXPECT_NE(zip64.find(npy_preamble({"", DType::kF32, {}})), zip64.npos);
  EXPECT_NE(zip64.find(npy_preamble({"", DType::kI8, {3, 4}})), zip64.npos);
  EXPECT_NE(stored.find(npy_preamble({"", DType::kU8, {5}})), stored.npos);
  EXPECT_NE(stored.find(npy_preamble({"", DType::kI64, {2}})), stored.npos);
  EXPECT_EQ(stored.find(npy_preamble({"", DType::kI8, {4, 3}})), stored.npos);
}

TEST(NpzWriter, NothingIsReplacedUnasked) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "a.npz", "precious");
  expect_told(test::error_line([&] { write_npz(folder / "a.npz", kSpecs, counting_fill(), false); }),
              {"a.npz", "already exists", "--overwrite"});
  EXPECT_EQ(test::read_file(folder / "a.npz"), "precious");
  write_npz(folder / "a.npz", kSpecs, counting_fill(), true);
  EXPECT_EQ(NpzFile(folder / "a.npz").arrays().size(), kSpecs.size());
}

TEST(NpzWriter, AFailingSourceLeavesNothing) {
  const test::TemporaryFolder folder;
  const auto fill = [](size_t index, uint64_t, std::span<std::byte>) {
    if (index == 2) throw Error(Fault{"not a number", "layer.bias", {}, {}, {}});
  };
  expect_told(test::error_line([&] { write_npz(folder / "a.npz", kSpecs, fill, false); }),
              {"layer.bias", "not a number"});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(NpzWriter, RefusesWhatNumpyCouldNotRead) {
  const test::TemporaryFolder folder;
  const auto refusal = [&](std::vector<NpzSpec> specs) {
    return test::error_line([&] { write_npz(folder / "a.npz", specs, counting_fill(), false); });
  };
  expect_told(refusal({{"a", DType::kI8, {}}, {"a", DType::kI8, {}}}), {"\"a\"", "two arrays"});
  expect_told(refusal({{"", DType::kI8, {}}}), {"cannot have"});
  expect_told(refusal({{"a", DType::kF8E4M3, {4}}}), {"\"a\"", "F8_E4M3"});
}

TEST(Npz, ReadsZip64Members) {
  const NpzFile file(test::source_file("tests/golden/npz/zip64.npz"));
  const std::vector<std::byte> codes = file.read(*file.find("codes"));
  ASSERT_EQ(codes.size(), 12u);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(static_cast<int8_t>(codes[static_cast<size_t>(i)]), i - 6);
  EXPECT_EQ(load_le<float>(file.read(*file.find("scale")).data()), 0.125f);
}
TEST(NpzCorrupt, Zip64SizesThatCannotBe) {
  // The 64-bit size of a member stands behind the extra field's id 1 and length 16 of its local header.
  std::string bytes = test::read_file(test::source_file("tests/golden/npz/zip64.npz"));
  const size_t extra = bytes.find(test::raw(uint16_t{1}) + test::raw(uint16_t{16}));
  ASSERT_NE(extra, bytes.npos);
  bytes.replace(extra + 4, 8, test::raw(uint64_t{1} << 60));
  const test::TemporaryFolder folder;
  test::write_file(folder / "a.npz", bytes);
  EXPECT_NE(test::error_line([&] {
              const NpzFile file(folder / "a.npz");
              for (const NpzArray& array : file.arrays()) file.read(array);
            }),
            "no error");
}

}  // namespace
}  // namespace assay
