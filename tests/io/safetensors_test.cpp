#include "io/safetensors.hpp"

#include <algorithm>

#include "io/byte_cursor.hpp"
#include "io/corrupt_files.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;
using test::safetensors_bytes;

constexpr std::string_view kTwo =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";

/// The line that refuses a file of these bytes.
std::string refusal(std::string_view bytes) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "model.safetensors", bytes);
  return test::error_line([&] { SafetensorsFile{folder / "model.safetensors"}; });
}

std::string refused_header(std::string_view header, size_t data_bytes) {
  return refusal(safetensors_bytes(header, std::string(data_bytes, 'x')));
}

TEST(Safetensors, ReadsUnalignedDataAndAnyOrder) {
  const test::TemporaryFolder folder;
  const std::string_view header =
      R"({"z":{"dtype":"F32","shape":[1,1],"data_offsets":[1,5]},"y":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]},)"
      R"("none":{"dtype":"F16","shape":[4,0],"data_offsets":[5,5]}}   )";
  test::write_file(folder / "m", safetensors_bytes(header, "\x01" + test::raw(2.5f)));
  const SafetensorsFile file(folder / "m");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "y");
  EXPECT_EQ(load_le<float>(file.find("z")->bytes.data()), 2.5f);
  EXPECT_TRUE(file.find("none")->bytes.empty());
  EXPECT_EQ(file.find("w"), nullptr);
  EXPECT_EQ(file.header_bytes(), header.size());
}

TEST(Safetensors, ReadsWhatItsOwnLibraryWrote) {
  const SafetensorsFile file(test::source_file("tests/golden/io/small.safetensors"));
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("matrix")->shape, (Shape{2, 3}));
  EXPECT_EQ(load_le<float>(file.find("matrix")->bytes.data() + 20), 5.0f);
  EXPECT_EQ(file.find("scalar")->shape, Shape{});
  EXPECT_EQ(load_le<int64_t>(file.find("scalar")->bytes.data()), 7);
}

TEST(Safetensors, AcceptsTheNullMetadataOfOlderMlx) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "m", safetensors_bytes(R"({"__metadata__":null})", ""));
  EXPECT_TRUE(SafetensorsFile(folder / "m").metadata().empty());
}

TEST(SafetensorsCorrupt, GitLfsPointer) {
  expect_told(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"),
              {"model.safetensors", "Git LFS pointer", "git lfs pull"});
}
TEST(SafetensorsCorrupt, WebPage) {
  expect_told(refusal("\n<!DOCTYPE html><html><body>404</body></html>"), {"HTML page", "download link"});
}
TEST(SafetensorsCorrupt, EmptyFile) {
  expect_told(refusal(""), {"an empty file", "interrupted download"});
}
TEST(SafetensorsCorrupt, OtherContainers) {
  expect_told(refusal("GGUF" + test::raw(3u) + std::string(20, '\0')), {"not a safetensors", "a GGUF file"});
  expect_told(refusal(std::string("PK\x03\x04") + std::string(22, '\0') + test::raw(uint16_t{16}) +
                      test::raw(uint16_t{0}) + "archive/data.pkl"),
              {"PyTorch pickle", "convert it to safetensors"});
  expect_told(refusal("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9"), {"PyTorch pickle"});
  expect_told(refusal(R"({"error":"Repository not found"})"), {"JSON", "error message"});
  expect_told(refusal(std::string(64, '\x7f')), {"bytes that begin", "\\x7f"});
}
TEST(SafetensorsCorrupt, HeaderCutOff) {
  const std::string whole = safetensors_bytes(kTwo, std::string(11, 'x'));
  expect_told(refusal(whole.substr(0, 60)),
              {"header is cut off", std::to_string(kTwo.size() + 8), "a file of 60", "incomplete download"});
}
TEST(SafetensorsCorrupt, HeaderTooLong) {
  expect_told(refusal(test::raw(uint64_t{100'000'001}) + "{}"), {"header is too long", "100000001"});
}
TEST(SafetensorsCorrupt, DataCutOff) {
  expect_told(refused_header(kTwo, 10),
              {"\"b\"", "cut off", "expected 11", "found 10", "incomplete download"});
}
TEST(SafetensorsCorrupt, BytesBehindTheLastTensor) {
  expect_told(refused_header(kTwo, 12), {"bytes follow the last tensor", "11", "12"});
}
TEST(SafetensorsCorrupt, Overlap) {
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                             7),
              {"\"b\"", "overlaps"});
}
TEST(SafetensorsCorrupt, Hole) {
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})",
                             7),
              {"\"b\"", "hole"});
}
TEST(SafetensorsCorrupt, ShapeAgainstBytes) {
  expect_told(refused_header(R"({"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,8]}})", 8),
              {"\"a\"", "contradict its shape", "12 bytes for F16 [2, 3]", "found 8"});
}
TEST(SafetensorsCorrupt, ShapeOverflow) {
  for (const char* shape :
       {"[4294967296,4294967296]", "[0,4294967296,4294967296]", "[9223372036854775807]"}) {
    const std::string header =
        std::string(R"({"a":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,0]}})";
    expect_told(refused_header(header, 0), {"\"a\"", "overflows"});
  }
}
TEST(SafetensorsCorrupt, DimensionsThatAreNoSizes) {
  for (const char* shape : {"[-1]", "[1.5]", "[\"2\"]", "[18446744073709551615]", "[1e3]"}) {
    const std::string header =
        std::string(R"({"a":{"dtype":"U8","shape":)") + shape + R"(,"data_offsets":[0,1]}})";
    expect_told(refused_header(header, 1), {"\"a\"", "dimension that is no size"});
  }
}
TEST(SafetensorsCorrupt, OffsetsBackwardsOrMissing) {
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1),
              {"run backwards"});
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1),
              {"no data_offsets"});
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1),
              {"no data_offsets"});
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[1]}})", 1), {"no data_offsets"});
}
TEST(SafetensorsCorrupt, UnknownDtype) {
  expect_told(refused_header(R"({"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,1]}})", 1),
              {"dtype", "\"Q4\""});
  expect_told(refused_header(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), {"has no dtype"});
}
TEST(SafetensorsCorrupt, NameTwice) {
  expect_told(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                             2),
              {"\"a\" is named twice"});
}
TEST(SafetensorsCorrupt, UnusableNames) {
  expect_told(refused_header(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1), {"empty"});
  expect_told(refused_header(R"({"a\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              {"NUL", "a\\x00b"});
  expect_told(refused_header("{\"\xff\":1}", 0), {"not valid JSON"});
}
TEST(SafetensorsCorrupt, BrokenJson) {
  expect_told(refused_header("{\n\"a\": }", 0), {"not valid JSON", "line 2, column 6"});
  expect_told(refused_header("{\"a\":[", 0), {"not valid JSON", "ends too early"});
  expect_told(refused_header("{\"a\":" + std::string(100'000, '['), 0), {"nested too deeply"});
  expect_told(refused_header("{\"a\":1}", 0), {"\"a\"", "no object"});
}
TEST(SafetensorsCorrupt, MetadataOfOtherTypes) {
  expect_told(refused_header(R"({"__metadata__":[]})", 0), {"__metadata__"});
  expect_told(refused_header(R"({"__metadata__":{"k":1}})", 0), {"texts only", "\"k\""});
}

TEST(SafetensorsWriter, WritesWhatItPlannedAndReadsItBack) {
  const test::TemporaryFolder folder;
  const std::vector<TensorSpec> specs = {{"second\"quoted", DType::kF32, {2, 2}},
                                         {"empty", DType::kF32, {0, 8}},
                                         {"scalar", DType::kU8, {}},
                                         {"last", DType::kBF16, {3}}};
  const std::map<std::string, std::string> metadata = {{"format", "mlx"}};
  std::string first;
  for (const char* name : {"one", "two"}) {
    AtomicFile file(folder / name, false);
    SafetensorsWriter writer(file, specs, metadata);
    EXPECT_EQ(file.size() % 64, 0u);
    const std::string data(16 + 1 + 6, 'd');
    writer.write(std::as_bytes(std::span(data)).first(10));
    writer.write(std::as_bytes(std::span(data)).first(6));
    writer.write(std::as_bytes(std::span(data)).first(1));
    EXPECT_THROW(writer.finish(), Error);
    writer.write(std::as_bytes(std::span(data)).first(6));
    writer.finish();
    EXPECT_EQ(file.size(), SafetensorsWriter::planned_bytes(specs, metadata));
    file.commit();
    const std::string bytes = test::read_file(folder / name);
    if (first.empty()) first = bytes;
    EXPECT_EQ(bytes, first);
  }
  const SafetensorsFile file(folder / "one");
  EXPECT_EQ(file.metadata(), metadata);
  for (const TensorSpec& spec : specs) {
    ASSERT_NE(file.find(spec.name), nullptr) << spec.name;
    EXPECT_EQ(file.find(spec.name)->shape, spec.shape);
    EXPECT_EQ(file.find(spec.name)->dtype, spec.dtype);
  }
  EXPECT_EQ(file.tensors()[0].name, specs[0].name);
}

TEST(SafetensorsWriter, RefusesMoreOrFewerBytesThanPlanned) {
  const test::TemporaryFolder folder;
  AtomicFile file(folder / "m", false);
  SafetensorsWriter writer(file, {{"a", DType::kU8, {2}}, {"b", DType::kU8, {2}}}, {});
  const std::string data(3, 'd');
  expect_told(test::error_line([&] { writer.write(std::as_bytes(std::span(data))); }),
              {"\"a\"", "more bytes than planned", "at most 2"});
  writer.write(std::as_bytes(std::span(data)).first(2));
  expect_told(test::error_line([&] { writer.finish(); }), {"\"b\"", "fewer bytes than planned", "2 more"});
  writer.write(std::as_bytes(std::span(data)).first(2));
  writer.finish();
  expect_told(test::error_line([&] { writer.write(std::as_bytes(std::span(data))); }), {"the last tensor"});
}

TEST(SafetensorsWriter, RefusesPlansThatCannotBe) {
  const auto plan = [](std::vector<TensorSpec> specs) {
    return test::error_line([&] { SafetensorsWriter::planned_bytes(specs, {}); });
  };
  expect_told(plan({{"a", DType::kU8, {1}}, {"a", DType::kU8, {1}}}), {"two tensors of this name"});
  expect_told(plan({{"", DType::kU8, {1}}}), {"not a name"});
  expect_told(plan({{"__metadata__", DType::kU8, {1}}}), {"not a name"});
  expect_told(plan({{"\xff", DType::kU8, {1}}}), {"not a name"});
  expect_told(plan({{"a", DType::kF32, {int64_t{1} << 40, int64_t{1} << 40}}}), {"overflows"});
  expect_told(plan({{"a", DType::kU8, {INT64_MAX}}, {"b", DType::kU8, {INT64_MAX}}}), {"63 bits"});
  EXPECT_NE(test::error_line([] { SafetensorsWriter::planned_bytes({}, {{"k", "\xff"}}); }), "no error");
}

}  // namespace
}  // namespace assay
