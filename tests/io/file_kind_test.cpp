#include "io/file_kind.hpp"

#include "io/corrupt_files.hpp"
#include "io/names.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

FileKind kind_of(std::string_view bytes) {
  return detect_file_kind(std::as_bytes(std::span(bytes)));
}

std::string zip_of(std::string_view member) {
  return std::string("PK\x03\x04") + std::string(22, '\0') + test::raw(static_cast<uint16_t>(member.size())) +
         test::raw(uint16_t{0}) + std::string(member);
}

TEST(FileKind, IsToldByTheFirstBytes) {
  EXPECT_EQ(kind_of(""), FileKind::kEmpty);
  EXPECT_EQ(kind_of("GGUF"), FileKind::kGguf);
  EXPECT_EQ(kind_of("GGUF" + test::raw(3u)), FileKind::kGguf);
  EXPECT_EQ(kind_of("GGUF" + test::raw(0x03000000u)), FileKind::kGgufBigEndian);
  EXPECT_EQ(kind_of(test::safetensors_bytes("{}", "")), FileKind::kSafetensors);
  EXPECT_EQ(kind_of(zip_of("scale.npy")), FileKind::kNpz);
  EXPECT_EQ(kind_of(zip_of("archive/data.pkl")), FileKind::kPytorchPickle);
  EXPECT_EQ(kind_of(zip_of("word/document.xml")), FileKind::kZip);
  EXPECT_EQ(kind_of("PK\x03\x04"), FileKind::kZip);
  EXPECT_EQ(kind_of("\x80\x02}q"), FileKind::kPytorchPickle);
  EXPECT_EQ(kind_of("version https://git-lfs.github.com/spec/v1\noid"), FileKind::kGitLfsPointer);
  EXPECT_EQ(kind_of("  <HTML>"), FileKind::kHtml);
  EXPECT_EQ(kind_of("\n{\"error\": 1}"), FileKind::kJson);
  EXPECT_EQ(kind_of("Entry not found"), FileKind::kUnknown);
}

TEST(FileKind, AHeaderLengthThatBeginsLikeAPickleIsSafetensors) {
  std::string header = "{}";
  header.resize(0x280, ' ');
  EXPECT_EQ(kind_of(test::safetensors_bytes(header, "")), FileKind::kSafetensors);
}

TEST(Names, AreQuotedForOneLine) {
  EXPECT_EQ(quote_name("a\nb"), "\"a\\x0ab\"");
  EXPECT_EQ(quote_name("grüße \xff"), "\"grüße \\xff\"");
  EXPECT_LT(quote_name(std::string(1000, 'x')).size(), 130u);
}

TEST(Names, AreSafeWhenWellFormedUtf8WithoutNul) {
  EXPECT_TRUE(is_safe_name("model.layers.0.ñ€😀"));
  for (const std::string_view name :
       {std::string_view("a\0b", 3), std::string_view("\xc0\xaf"), std::string_view("\xed\xa0\x80"),
        std::string_view("\xf5\x80\x80\x80"), std::string_view("\xe2\x82"), std::string_view("\x80")}) {
    EXPECT_FALSE(is_safe_name(name));
  }
}

}  // namespace
}  // namespace assay
