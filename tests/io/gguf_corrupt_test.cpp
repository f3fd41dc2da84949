/// One file per way to be wrong; the classes are those that llama.cpp's reader was once open to
/// (CVE-2024-21802, CVE-2025-53630, CVE-2026-27940, CVE-2026-33298, CVE-2026-7482 and the like).
#include "io/corrupt_files.hpp"
#include "io/gguf.hpp"
#include "io/gguf_layout.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;
using test::raw;
using test::RawGguf;

constexpr uint32_t kU8 = 0, kU32 = 4, kBool = 7, kString = 8, kArray = 9, kU64 = 10;
constexpr uint32_t kF32 = 0, kQ8_0 = 8;

std::string refusal(std::string_view bytes) {
  return test::error_line([&] { parse_gguf(std::as_bytes(std::span(bytes)), "m.gguf"); });
}
std::string refusal(const RawGguf& file) {
  return refusal(file.bytes());
}

RawGguf with_tensor(const std::vector<int64_t>& dims, uint32_t kind, uint64_t offset = 0) {
  RawGguf file;
  file.tensor("t", dims, kind, offset);
  return file;
}

TEST(Gguf, ReadsVersionsTwoAndThree) {
  for (const uint32_t version : {2u, 3u}) {
    RawGguf file = with_tensor({32, 2}, kQ8_0);
    file.entry("k", kU32, raw(7u));
    file.version = version;
    file.data = std::string(96, 'x');
    const std::string bytes = file.bytes();
    const GgufPart part = parse_gguf(std::as_bytes(std::span(bytes)), "m.gguf");
    EXPECT_EQ(part.version, version);
    EXPECT_EQ(part.metadata.integer("k"), 7);
    EXPECT_EQ(part.tensors.at(0).bytes.size(), 68u);
    EXPECT_EQ(part.tensors[0].rows(), 2);
  }
}

TEST(Gguf, LastTensorMayEndUnpadded) {
  RawGguf file = with_tensor({3}, kF32);
  file.data = std::string(12, 'x');
  EXPECT_EQ(refusal(file), "no error");
}

TEST(Gguf, HonoursAnotherAlignment) {
  RawGguf file;
  file.alignment = 64;
  file.entry("general.alignment", kU32, raw(64u)).tensor("a", {1}, kF32, 0).tensor("b", {1}, kF32, 64);
  file.data = std::string(68, 'x');
  EXPECT_EQ(refusal(file), "no error");
  RawGguf packed;
  packed.entry("general.alignment", kU32, raw(64u)).tensor("a", {1}, kF32, 0).tensor("b", {1}, kF32, 32);
  packed.data = std::string(128, 'x');
  expect_told(refusal(packed), {"\"b\"", "offset 64", "found 32"});
}

TEST(GgufCorrupt, NotGguf) {
  expect_told(refusal("version https://git-lfs.github.com/spec/v1\n"),
              {"m.gguf", "Git LFS pointer", "git lfs pull"});
  expect_told(refusal("<html></html>"), {"HTML page"});
  expect_told(refusal(""), {"an empty file"});
  expect_told(refusal(test::safetensors_bytes("{}", "")), {"a safetensors file", "config.json"});
  expect_told(refusal("GGML" + std::string(40, '\0')), {"bytes that begin", "GGML"});
}
TEST(GgufCorrupt, BigEndian) {
  expect_told(refusal(std::string("GGUF\0\0\0\x03", 8) + std::string(16, '\0')), {"big-endian"});
  expect_told(refusal("FUGG" + std::string(20, '\0')), {"big-endian"});
}
TEST(GgufCorrupt, Versions) {
  RawGguf file;
  for (const uint32_t version : {0u, 4u, 77u}) {
    file.version = version;
    expect_told(refusal(file), {"unknown version", std::to_string(version)});
  }
  file.version = 1;
  expect_told(refusal(file), {"version 1", "convert"});
}
TEST(GgufCorrupt, EveryTruncationOfAWholeFileIsRefused) {
  RawGguf file;
  file.entry("text", kString, RawGguf::text("value"))
      .entry("list", kArray, raw(kU32) + raw(uint64_t{3}) + std::string(12, 'x'))
      .tensor("t", {32}, kQ8_0, 0);
  file.data = std::string(34, 'x');
  const std::string whole = file.bytes();
  EXPECT_EQ(refusal(whole), "no error");
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string line = refusal(whole.substr(0, size));
    EXPECT_NE(line, "no error") << size;
    EXPECT_TRUE(size <= 8 || line.find("incomplete download") != line.npos) << size << ": " << line;
  }
}
TEST(GgufCorrupt, CountsBeyondTheFile) {
  RawGguf file;
  file.extra_entries = uint64_t{1} << 60;
  expect_told(refusal(file), {"more metadata entries than the file can hold"});
  file.extra_entries = 0;
  file.extra_tensors = UINT64_MAX / 25;
  expect_told(refusal(file), {"more tensors than the file can hold"});
}
TEST(GgufCorrupt, StringsBeyondTheFile) {
  RawGguf file;
  file.entry("k", kString, raw(UINT64_MAX - 3));
  expect_told(refusal(file), {"the file ends inside a metadata text", "18446744073709551612"});
}
TEST(GgufCorrupt, ArraysBeyondTheFile) {
  for (const uint32_t type : {kU8, kU64, kString}) {
    RawGguf file;
    file.entry("k", kArray, raw(type) + raw(uint64_t{1} << 61));
    expect_told(refusal(file), {"\"k\"", "array is longer than the rest", std::to_string(uint64_t{1} << 61)});
  }
}
TEST(GgufCorrupt, ArraysOfArraysAndUnknownTypes) {
  RawGguf nested, element, value;
  nested.entry("k", kArray, raw(kArray) + raw(uint64_t{1}) + raw(kU8) + raw(uint64_t{0}));
  expect_told(refusal(nested), {"\"k\"", "array of arrays"});
  element.entry("k", kArray, raw(13u) + raw(uint64_t{0}));
  expect_told(refusal(element), {"\"k\"", "unknown type", "13"});
  value.entry("k", 0xffffffffu, "");
  value.data = std::string(64, 'x');
  expect_told(refusal(value), {"\"k\"", "unknown type"});
}
TEST(GgufCorrupt, BoolsOfOtherValues) {
  RawGguf file;
  file.entry("k", kBool, "\x02");
  expect_told(refusal(file), {"\"k\"", "neither 0 nor 1"});
}
TEST(GgufCorrupt, Keys) {
  RawGguf twice, empty, broken;
  twice.entry("k", kU32, raw(1u)).entry("k", kU32, raw(2u));
  expect_told(refusal(twice), {"\"k\" stands twice"});
  empty.entry("", kU32, raw(1u));
  expect_told(refusal(empty), {"key is empty"});
  broken.entry(std::string_view("a\0b", 3), kU32, raw(1u));
  expect_told(refusal(broken), {"no UTF-8", "a\\x00b"});
}
TEST(GgufCorrupt, TensorNames) {
  RawGguf twice, longest;
  twice.tensor("t", {1}, kF32, 0).tensor("t", {1}, kF32, 32);
  twice.data = std::string(64, 'x');
  expect_told(refusal(twice), {"\"t\"", "two tensors of this name"});
  longest.tensor(std::string(64, 'n'), {1}, kF32, 0);
  expect_told(refusal(longest), {"1 to 63 bytes", "64"});
  RawGguf empty, broken;
  empty.tensor("", {1}, kF32, 0);
  empty.data = "xxxx";
  expect_told(refusal(empty), {"name is unusable"});
  broken.tensor("\xc3\x28", {1}, kF32, 0);
  broken.data = "xxxx";
  expect_told(refusal(broken), {"name is unusable", "\\xc3"});
}
TEST(GgufCorrupt, Dimensions) {
  expect_told(refusal(with_tensor({-1}, kF32)), {"\"t\"", "negative dimension"});
  expect_told(refusal(with_tensor({1, 1, 1, 1, 1}, kF32)), {"\"t\"", "too many dimensions"});
  expect_told(refusal(with_tensor({48}, kQ8_0)), {"\"t\"", "whole number of blocks", "32 for Q8_0", "48"});
}
TEST(GgufCorrupt, DimensionProductsThatOverflow) {
  const int64_t half = int64_t{1} << 32;
  expect_told(refusal(with_tensor({half, half}, kF32)), {"\"t\"", "overflows"});
  expect_told(refusal(with_tensor({half, half, half, half}, kF32)), {"\"t\"", "overflows"});
  expect_told(refusal(with_tensor({half, half / 2}, kQ8_0)), {"\"t\"", "overflows"});
  expect_told(refusal(with_tensor({0, half, half}, kF32)), {"\"t\"", "overflows"});
}
TEST(GgufCorrupt, SumOfSizesThatOverflows) {
  RawGguf file;
  const int64_t huge = (int64_t{1} << 61) - 8;
  file.tensor("a", {huge}, kF32, 0).tensor("b", {huge}, kF32, static_cast<uint64_t>(huge) * 4);
  file.tensor("c", {huge}, kF32, static_cast<uint64_t>(huge) * 8);
  expect_told(refusal(file), {"sum of the tensors' sizes overflows"});
}
TEST(GgufCorrupt, TensorLargerThanTheFile) {
  RawGguf file = with_tensor({1024}, kF32);
  file.data = std::string(64, 'x');
  expect_told(refusal(file), {"tensor data is cut off", "found 128", "incomplete download"});
}
TEST(GgufCorrupt, OffsetsThatLeaveTheRunningSum) {
  RawGguf hole, overlap;
  hole.tensor("a", {1}, kF32, 0).tensor("b", {1}, kF32, 64);
  hole.data = std::string(96, 'x');
  expect_told(refusal(hole), {"\"b\"", "offset 32", "found 64"});
  overlap.tensor("a", {16}, kF32, 0).tensor("b", {16}, kF32, 32);
  overlap.data = std::string(128, 'x');
  expect_told(refusal(overlap), {"\"b\"", "offset 64", "found 32"});
}
TEST(GgufCorrupt, Kinds) {
  expect_told(refusal(with_tensor({32}, 4)), {"\"t\"", "type id 4", "ggml has removed"});
  expect_told(refusal(with_tensor({32}, 36)), {"ggml has removed"});
  expect_told(refusal(with_tensor({32}, 9999)), {"type id 9999", "newer than this assay"});
  expect_told(refusal(with_tensor({32}, 200)),
              {"type id 200"});  // our own id of MLX's layout is no GGUF kind
}
TEST(GgufCorrupt, Alignments) {
  for (const uint32_t alignment : {0u, 3u, 48u}) {
    RawGguf file = with_tensor({1}, kF32);
    file.entry("general.alignment", kU32, raw(alignment));
    expect_told(refusal(file), {"general.alignment", "power of two", std::to_string(alignment)});
  }
  RawGguf file = with_tensor({1}, kF32);
  file.entry("general.alignment", kString, RawGguf::text("32"));
  expect_told(refusal(file), {"general.alignment", "string"});
  RawGguf vast = with_tensor({1}, kF32);
  vast.entry("general.alignment", kU32, raw(0x80000000u));
  expect_told(refusal(vast), {"cut off"});
}
TEST(GgufCorrupt, BytesBehindTheLastTensor) {
  RawGguf file = with_tensor({1}, kF32);
  file.data = std::string(33, 'x');
  expect_told(refusal(file), {"bytes follow the last tensor"});
  file.data = std::string(32, 'x') + RawGguf().bytes();
  expect_told(refusal(file), {"parts of a split are not joined by cat"});
}

TEST(GgufMetadata, SaysWhichKeyIsMissingOrOfAnotherType) {
  GgufMetadata metadata;
  metadata.set("n", GgufValue::u32(3));
  metadata.set("t", GgufValue::string("x"));
  metadata.set("big", GgufValue::u64(UINT64_MAX));
  metadata.set("flags", GgufValue{GgufType::kArray, GgufArray{GgufType::kBool, std::vector<uint64_t>{1}}});
  metadata.set("texts", GgufValue::strings({"a"}));
  EXPECT_EQ(metadata.integer("n"), 3);
  expect_told(test::error_line([&] { metadata.integer("absent"); }), {"\"absent\"", "missing"});
  expect_told(test::error_line([&] { metadata.integer("t"); }), {"\"t\"", "an integer", "found string"});
  expect_told(test::error_line([&] { metadata.integer("big"); }), {"\"big\"", "63 bits"});
  expect_told(test::error_line([&] { metadata.number("n"); }), {"\"n\"", "found u32"});
  expect_told(test::error_line([&] { metadata.boolean("n"); }), {"\"n\"", "bool"});
  expect_told(test::error_line([&] { metadata.integers("texts"); }), {"found array of string"});
  expect_told(test::error_line([&] { metadata.integers("flags"); }), {"found array of bool"});
  expect_told(test::error_line([&] { metadata.numbers("flags"); }), {"found array of bool"});
  expect_told(test::error_line([&] { metadata.strings("n"); }), {"array of string", "found u32"});
  EXPECT_EQ(metadata.integer_or("absent", -1), -1);
  EXPECT_THROW(metadata.integer_or("t", -1), Error);
  EXPECT_EQ(metadata.string_or("absent", "d"), "d");
  EXPECT_EQ(metadata.number_or("absent", 0.5), 0.5);
  EXPECT_TRUE(metadata.boolean_or("absent", true));
}

TEST(GgufMetadata, KeepsItsOrderThroughReplacingAndErasing) {
  GgufMetadata metadata;
  for (const char* key : {"a", "b", "c", "d"}) metadata.set(key, GgufValue::i32(1));
  metadata.set("b", GgufValue::i32(2));
  metadata.erase("a");
  metadata.erase("absent");
  metadata.set("a", GgufValue::i32(3));
  std::string order;
  for (const auto& [key, value] : metadata.entries()) order += key;
  EXPECT_EQ(order, "bcda");
  EXPECT_EQ(metadata.integer("b"), 2);
  EXPECT_EQ(metadata.integer("d"), 1);
  EXPECT_EQ(metadata.integer("a"), 3);
}

}  // namespace
}  // namespace assay
