#include "io/corrupt_files.hpp"
#include "io/gguf.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {
using test::expect_told;
using test::raw;
using test::RawGguf;

constexpr uint32_t kU16 = 2, kI32 = 5, kString = 8;

/// A part with one F32 tensor.
RawGguf part(int number, int count, int tensors, const std::string& tensor,
             const std::string& architecture = "") {
  RawGguf file;
  if (!architecture.empty()) file.entry("general.architecture", kString, RawGguf::text(architecture));
  file.entry("split.no", kU16, raw(static_cast<uint16_t>(number)))
      .entry("split.count", kU16, raw(static_cast<uint16_t>(count)))
      .entry("split.tensors.count", kI32, raw(tensors))
      .tensor(tensor, {1}, 0, 0);
  file.data = "abcd";
  return file;
}

class GgufSplit : public testing::Test {
 protected:
  void write(const std::string& name, const RawGguf& file) { test::write_file(folder_ / name, file.bytes()); }
  std::string refusal(const std::string& name) {
    return test::error_line([&] { GgufFile{folder_ / name}; });
  }
  test::TemporaryFolder folder_;
};

TEST_F(GgufSplit, OpensByAnyPartAndDropsTheSplitsKeys) {
  write("m-00001-of-00002.gguf", part(0, 2, 2, "a", "llama"));
  write("m-00002-of-00002.gguf", part(1, 2, 2, "b"));
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const GgufFile file(folder_ / name);
    EXPECT_EQ(file.files().size(), 2u);
    EXPECT_EQ(file.tensors().size(), 2u);
    EXPECT_EQ(file.metadata().entries().size(), 1u);
    EXPECT_EQ(file.metadata().string("general.architecture"), "llama");
  }
}
TEST_F(GgufSplit, MissingPartsAreNamed) {
  write("m-00002-of-00009.gguf", part(1, 9, 9, "a"));
  write("m-00004-of-00009.gguf", part(3, 9, 9, "b"));
  expect_told(refusal("m-00002-of-00009.gguf"),
              {"parts of a split are missing", "9 parts", "m-00001-of-00009.gguf, m-00003-of-00009.gguf",
               "and 2 more", "incomplete download"});
}
TEST_F(GgufSplit, RenamedPart) {
  write("m.gguf", part(0, 2, 2, "a"));
  expect_told(refusal("m.gguf"), {"m.gguf", "-00001-of-00002.gguf", "renamed"});
  write("n-00001-of-00002.gguf", part(1, 2, 2, "a"));
  expect_told(refusal("n-00001-of-00002.gguf"), {"-00002-of-00002.gguf", "renamed"});
  write("o-00001-of-00002.gguf", part(0, 2, 2, "a"));
  write("o-00002-of-00002.gguf", part(0, 2, 2, "b"));
  expect_told(refusal("o-00001-of-00002.gguf"), {"another number than its name", "part 2", "part 1"});
}
TEST_F(GgufSplit, PartsOfDifferentModels) {
  write("m-00001-of-00002.gguf", part(0, 2, 2, "a", "llama"));
  write("m-00002-of-00002.gguf", part(1, 2, 2, "b", "qwen3"));
  expect_told(refusal("m-00001-of-00002.gguf"), {"\"llama\"", "\"qwen3\"", "different models"});
  write("m-00002-of-00002.gguf", part(1, 2, 7, "b"));
  expect_told(refusal("m-00001-of-00002.gguf"),
              {"2 parts with 2 tensors", "2 parts with 7", "different models"});
  write("m-00002-of-00002.gguf", RawGguf());
  expect_told(refusal("m-00001-of-00002.gguf"), {"a file that is no part"});
  write("m-00002-of-00002.gguf", part(1, 2, 2, "a"));
  expect_told(refusal("m-00001-of-00002.gguf"), {"\"a\"", "two parts of a split"});
}
TEST_F(GgufSplit, TensorsThatNoPartHolds) {
  write("m-00001-of-00002.gguf", part(0, 2, 3, "a"));
  write("m-00002-of-00002.gguf", part(1, 2, 3, "b"));
  expect_told(refusal("m-00001-of-00002.gguf"), {"expected 3 tensors", "found 2"});
}
TEST_F(GgufSplit, ClaimsThatContradictThemselves) {
  write("m-00004-of-00002.gguf", part(3, 2, 2, "a"));
  expect_told(refusal("m-00004-of-00002.gguf"), {"contradict each other", "part 4 of 2"});
  RawGguf incomplete;
  incomplete.entry("split.count", kU16, raw(uint16_t{2}));
  write("n-00001-of-00002.gguf", incomplete);
  expect_told(refusal("n-00001-of-00002.gguf"), {"own keys are incomplete", "split.no"});
}
TEST_F(GgufSplit, ASplitOfOneStandsAlone) {
  write("any name.gguf", part(0, 1, 1, "a"));
  EXPECT_EQ(GgufFile(folder_ / "any name.gguf").tensors().size(), 1u);
}

}  // namespace
}  // namespace assay
