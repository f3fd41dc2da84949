#include <numeric>

#include "base/half.hpp"
#include "io/corrupt_files.hpp"
#include "io/gguf.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;

GgufValue unsigned_value(GgufType type, uint64_t value) {
  return {type, value};
}
GgufValue signed_value(GgufType type, int64_t value) {
  return {type, value};
}
template <typename T>
GgufValue array(GgufType type, std::vector<T> values) {
  return {GgufType::kArray, GgufArray{type, std::move(values)}};
}

/// The entries of tests/golden/io/make_golden.py.
GgufMetadata golden_metadata() {
  GgufMetadata m;
  m.set("general.architecture", GgufValue::string("assay-golden"));
  m.set("a.u8", unsigned_value(GgufType::kU8, 200));
  m.set("a.i8", signed_value(GgufType::kI8, -100));
  m.set("a.u16", GgufValue::u16(60000));
  m.set("a.i16", signed_value(GgufType::kI16, -30000));
  m.set("a.u32", GgufValue::u32(4000000000));
  m.set("a.i32", GgufValue::i32(-2000000000));
  m.set("a.f32", GgufValue::f32(1.5e-5f));
  m.set("a.bool", GgufValue::boolean(true));
  m.set("a.string", GgufValue::string("grüße\n"));
  m.set("a.u64", GgufValue::u64(UINT64_MAX));
  m.set("a.i64", signed_value(GgufType::kI64, INT64_MIN));
  m.set("a.f64", GgufValue{GgufType::kF64, 0.1});
  m.set("array.u8", array<uint64_t>(GgufType::kU8, {0, 255}));
  m.set("array.i8", array<int64_t>(GgufType::kI8, {-128, 127}));
  m.set("array.u16", array<uint64_t>(GgufType::kU16, {0, 65535}));
  m.set("array.i16", array<int64_t>(GgufType::kI16, {-32768, 32767}));
  m.set("array.u32", array<uint64_t>(GgufType::kU32, {0, UINT32_MAX}));
  m.set("array.i32", GgufValue::i32s({INT32_MIN, INT32_MAX}));
  m.set("array.f32", GgufValue::f32s({0.25, -0.0}));
  m.set("array.bool", array<uint64_t>(GgufType::kBool, {1, 0}));
  m.set("array.string", GgufValue::strings({"", "x", "▁y"}));
  m.set("array.u64", array<uint64_t>(GgufType::kU64, {UINT64_MAX}));
  m.set("array.i64", array<int64_t>(GgufType::kI64, {INT64_MIN}));
  m.set("array.f64", array<double>(GgufType::kF64, {0.1, 1e300}));
  return m;
}

const std::vector<GgufTensorSpec> kGoldenSpecs = {{"plain", {3, 5}, WeightKind::kF32},
                                                  {"half", {8}, WeightKind::kF16},
                                                  {"blocks", {64, 2}, WeightKind::kQ8_0}};

std::vector<std::string> golden_tensors() {
  std::vector<std::string> tensors(3);
  for (int i = 0; i < 15; ++i) tensors[0] += test::raw(static_cast<float>(i));
  for (int i = 0; i < 8; ++i) tensors[1] += test::raw(f16_from_float(static_cast<float>(i) / 4));
  for (int i = 0; i < 136; ++i) tensors[2] += static_cast<char>(i % 251);
  return tensors;
}

TEST(GgufWriter, WritesTheBytesOfGgufPy) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "m.gguf", false);
  GgufWriter writer(file, golden_metadata(), kGoldenSpecs);
  for (const std::string& tensor : golden_tensors()) writer.write(std::as_bytes(std::span(tensor)));
  writer.finish();
  EXPECT_EQ(file.size(), GgufWriter::planned_bytes(golden_metadata(), kGoldenSpecs));
  file.commit();
  const std::string golden = test::read_file(test::source_file("tests/golden/io/every_type.gguf"));
  ASSERT_GT(golden.size(), 1000u);
  EXPECT_EQ(test::read_file(folder / "m.gguf"), golden);
}

TEST(GgufWriter, ReadsGgufPysFileBackWithTheStoredTypes) {
  const GgufFile file(test::source_file("tests/golden/io/every_type.gguf"));
  const GgufMetadata expected = golden_metadata();
  ASSERT_EQ(file.metadata().entries().size(), expected.entries().size());
  for (size_t i = 0; i < expected.entries().size(); ++i) {
    const auto& [key, value] = file.metadata().entries()[i];
    EXPECT_EQ(key, expected.entries()[i].first);
    EXPECT_EQ(value.type, expected.entries()[i].second.type) << key;
    EXPECT_EQ(value.value.index(), expected.entries()[i].second.value.index()) << key;
  }
  EXPECT_EQ(file.find("plain")->rows(), 5);
  EXPECT_EQ(file.find("plain")->cols(), 3);
}

TEST(GgufWriter, SlotsMustBeFilledToTheByte) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "m.gguf", false);
  GgufWriter writer(
      file, {}, {{"a", {4}, WeightKind::kI8}, {"none", {0}, WeightKind::kF32}, {"b", {2}, WeightKind::kI8}});
  const std::string data(8, 'd');
  const auto bytes = std::as_bytes(std::span(data));
  expect_told(test::error_line([&] { writer.write(bytes); }),
              {"\"a\"", "more bytes than planned", "at most 4"});
  writer.write(bytes.first(3));
  writer.write(bytes.first(1));
  EXPECT_EQ(file.size() % 32, 0u);
  expect_told(test::error_line([&] { writer.finish(); }), {"\"b\"", "fewer bytes than planned", "2 more"});
  writer.write(bytes.first(2));
  writer.finish();
  EXPECT_EQ(file.size() % 32, 0u);
  expect_told(test::error_line([&] { writer.write(bytes); }), {"the last tensor"});
  EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
}

TEST(GgufWriter, FollowsGeneralAlignmentAndDropsTrailingOnes) {
  const test::TemporaryFolder folder;
  GgufMetadata metadata;
  metadata.set("general.alignment", GgufValue::u32(128));
  const std::vector<GgufTensorSpec> specs = {{"a", {2, 1, 1}, WeightKind::kI8}, {"b", {}, WeightKind::kI8}};
  AtomicFile file(folder / "m.gguf", false);
  GgufWriter writer(file, metadata, specs);
  for (const char* data : {"xy", "z"}) writer.write(std::as_bytes(std::span(std::string_view(data))));
  writer.finish();
  EXPECT_EQ(file.size(), GgufWriter::planned_bytes(metadata, specs));
  file.commit();
  const GgufFile again(folder / "m.gguf");
  EXPECT_EQ(again.files()[0].bytes().size() % 128, 0u);
  EXPECT_EQ(again.find("a")->dims, std::vector<int64_t>{2});
  EXPECT_EQ(again.find("b")->dims, std::vector<int64_t>{1});
  EXPECT_EQ(again.find("b")->bytes[0], std::byte{'z'});
}

TEST(GgufWriter, RefusesWhatTheFormatCannotHold) {
  const auto plan = [](GgufTensorSpec spec) {
    return test::error_line([&] { GgufWriter::planned_bytes({}, {spec}); });
  };
  EXPECT_EQ(plan({std::string(63, 'n'), {1}, WeightKind::kF32}), "no error");
  expect_told(plan({std::string(64, 'n'), {1}, WeightKind::kF32}), {"1 to 63 bytes", "64"});
  expect_told(plan({"", {1}, WeightKind::kF32}), {"name does not fit"});
  expect_told(plan({"t", {2, 2, 2, 2, 2}, WeightKind::kF32}), {"\"t\"", "at most 4"});
  expect_told(plan({"t", {100}, WeightKind::kQ4_K}), {"\"t\"", "256 for Q4_K"});
  expect_told(plan({"t", {64}, WeightKind::kMlxAffine}), {"\"t\"", "a format that GGUF does not hold"});
  expect_told(plan({"t", {int64_t{1} << 40, int64_t{1} << 40}, WeightKind::kF32}), {"\"t\"", "overflows"});
  const std::vector<GgufTensorSpec> twice = {{"t", {1}, WeightKind::kF32}, {"t", {1}, WeightKind::kF32}};
  expect_told(test::error_line([&] { GgufWriter::planned_bytes({}, twice); }), {"two tensors of this name"});
  GgufMetadata metadata;
  metadata.set("bad\xff", GgufValue::u32(1));
  expect_told(test::error_line([&] { GgufWriter::planned_bytes(metadata, {}); }), {"metadata key", "\\xff"});
}

}  // namespace
}  // namespace assay
