#include "io/npz.hpp"

#include <algorithm>

#include "base/half.hpp"
#include "io/byte_cursor.hpp"
#include "io/corrupt_files.hpp"
#include "io/npy_header.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;

std::string refusal(std::string_view bytes) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "weights.npz", bytes);
  return test::error_line([&] {
    const NpzFile file(folder / "weights.npz");
    for (const NpzArray& array : file.arrays()) file.read(array);
  });
}

std::string golden(const std::string& name) {
  return test::read_file(test::source_file("tests/golden/io/" + name));
}

std::string replaced(std::string bytes, std::string_view from, std::string_view to) {
  for (size_t at = bytes.find(from); at != bytes.npos; at = bytes.find(from, at + to.size())) {
    bytes.replace(at, from.size(), to);
  }
  return bytes;
}

template <typename T>
std::vector<T> numbers(const NpzFile& file, std::string_view name) {
  const NpzArray* array = file.find(name);
  if (array == nullptr) return {};
  const std::vector<std::byte> bytes = file.read(*array);
  std::vector<T> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) values[i] = load_le<T>(bytes.data() + i * sizeof(T));
  return values;
}

/// The arrays of tests/golden/io/make_golden.py.
void expect_golden_arrays(const NpzFile& file) {
  EXPECT_EQ(file.arrays().size(), 8u);
  EXPECT_EQ(file.find("scale")->shape, Shape{});
  EXPECT_EQ(numbers<float>(file, "scale"), std::vector<float>{0.125f});
  EXPECT_EQ(file.find("layer.weight")->shape, (Shape{3, 4}));
  EXPECT_EQ(file.find("layer.weight")->dtype, DType::kI8);
  EXPECT_EQ(numbers<int8_t>(file, "layer.weight"),
            (std::vector<int8_t>{-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers<uint8_t>(file, "bytes"), (std::vector<uint8_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(file.find("flags")->dtype, DType::kBool);
  EXPECT_EQ(numbers<uint8_t>(file, "flags"), (std::vector<uint8_t>{1, 0, 1}));
  EXPECT_EQ(float_from_f16(numbers<uint16_t>(file, "half").at(5)), 2.5f);
  EXPECT_EQ(numbers<int64_t>(file, "long"), (std::vector<int64_t>{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(file.find("empty")->shape, (Shape{0, 7}));
  EXPECT_TRUE(numbers<float>(file, "empty").empty());
  EXPECT_TRUE(file.find("columns")->fortran_order);
  std::vector<float> counted(24);
  for (size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<float>(i);
  EXPECT_EQ(numbers<float>(file, "columns"), counted);
}

TEST(Npz, ReadsWhatNumpySaved) {
  expect_golden_arrays(NpzFile(test::source_file("tests/golden/io/stored.npz")));
  expect_golden_arrays(NpzFile(test::source_file("tests/golden/io/deflated.npz")));
}
TEST(Npz, ReadsEveryHeaderFormat) {
  const NpzFile file(test::source_file("tests/golden/io/versions.npz"));
  EXPECT_EQ(numbers<float>(file, "v1"), (std::vector<float>{0}));
  EXPECT_EQ(numbers<float>(file, "v2"), (std::vector<float>{0, 1}));
  EXPECT_EQ(numbers<float>(file, "v3"), (std::vector<float>{0, 1, 2}));
}
TEST(Npz, ReadsAnArchiveOfMlx) {
  ASSAY_NEED_DATA(path, "peers/mlx-lora/mistral-sql-adapters/adapters.npz");
  const NpzFile file(path);
  EXPECT_GT(file.arrays().size(), 32u);
  const NpzArray* array = file.find("model.layers.31.self_attn.v_proj.lora_a");
  ASSERT_NE(array, nullptr);
  EXPECT_EQ(array->shape, (Shape{4096, 4}));
  for (const NpzArray& each : file.arrays()) EXPECT_EQ(file.read(each).size(), each.bytes) << each.name;
}

TEST(NpzCorrupt, NotAnArchive) {
  expect_told(refusal("version https://git-lfs.github.com/spec/v1\n"), {"weights.npz", "Git LFS pointer"});
  expect_told(refusal(""), {"an empty file"});
  expect_told(refusal(test::safetensors_bytes("{}", "")), {"a safetensors file"});
}
TEST(NpzCorrupt, CutOff) {
  const std::string whole = golden("stored.npz");
  expect_told(refusal(whole.substr(0, whole.size() - 30)),
              {"directory is missing or damaged", "incomplete download"});
}
TEST(NpzCorrupt, NumbersThatFailTheirChecksum) {
  std::string bytes = golden("stored.npz");
  const size_t at = bytes.find(test::raw(0.125f));
  ASSERT_NE(at, bytes.npos);
  bytes[at] = 'x';
  expect_told(refusal(bytes), {"\"scale\"", "damaged", "CRC"});
}
TEST(NpzCorrupt, ShapeAgainstBytes) {
  expect_told(refusal(replaced(golden("stored.npz"), "(3, 4)", "(3, 5)")),
              {"layer.weight", "contradicts its bytes"});
  expect_told(refusal(replaced(golden("stored.npz"), "'|i1'", "'<i2'")), {"layer.weight", "[3, 4] of I16"});
}
TEST(NpzCorrupt, TypesThatAreNotRead) {
  const std::string bytes = golden("stored.npz");
  expect_told(refusal(replaced(bytes, "'|i1'", "'|O1'")), {"layer.weight", "pickled", "run code"});
  expect_told(refusal(replaced(bytes, "'<f2'", "'>f2'")), {"\"half.npy\"", "big-endian"});
  expect_told(refusal(replaced(bytes, "'<f2'", "'<c2'")), {"\"half.npy\"", "<c2"});
}
TEST(NpzCorrupt, MembersThatAreNoArrays) {
  expect_told(refusal(replaced(golden("stored.npz"), "flags.npy", "flags.txt")), {"flags.txt", "no .npy"});
  expect_told(refusal(replaced(golden("stored.npz"), "\x93NUMPY", "\x93NUMPX")), {"not a .npy member"});
}
TEST(NpzCorrupt, MoreBytesThanTheMemberCanHold) {
  // The sizes of the first member stand in its directory entry, 24 bytes in: a bomb in one field.
  std::string bytes = golden("deflated.npz");
  const size_t entry = bytes.find("PK\x01\x02");
  ASSERT_NE(entry, bytes.npos);
  bytes.replace(entry + 24, 4, test::raw(0x70000000u));
  EXPECT_NE(refusal(bytes), "no error");
}

std::string header_refusal(std::string_view text) {
  return test::error_line([&] { parse_npy_header(text, "m"); });
}

TEST(NpyHeader, ReadsWhatPythonMayWrite) {
  const NpyHeader header =
      parse_npy_header("{\"shape\": (2L,3 , ), 'fortran_order':True,'descr':'<V2'}  \n", "m");
  EXPECT_EQ(header.dtype, DType::kBF16);
  EXPECT_TRUE(header.fortran_order);
  EXPECT_EQ(header.shape, (Shape{2, 3}));
}
TEST(NpyHeader, RefusesAnythingElse) {
  for (const char* text :
       {"", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "{'descr': 'f4",
        "{'descr': '', 'shape': ()}"}) {
    EXPECT_NE(header_refusal(text), "no error") << text;
  }
  expect_told(header_refusal("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}"),
              {"structured"});
  expect_told(header_refusal("{'descr': '|f4', 'fortran_order': False, 'shape': ()}"), {"|f4"});
}

}  // namespace
}  // namespace assay
