// Importance matrices in both forms, and files that only look like them.
#include "io/imatrix.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "io/gguf.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

using Bytes = std::string;

template <class T>
void put(Bytes& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(Bytes& bytes, const std::string& text) {
  put(bytes, static_cast<int32_t>(text.size()));
  bytes += text;
}

void put_entry(Bytes& bytes, const std::string& name, int32_t calls, const std::vector<float>& values) {
  put_text(bytes, name);
  put(bytes, calls);
  put(bytes, static_cast<int32_t>(values.size()));
  for (const float value : values) put(bytes, value);
}

class ImatrixTest : public testing::Test {
 protected:
  std::filesystem::path write(const Bytes& bytes) {
    const std::filesystem::path path = folder_ / "imatrix.dat";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  static Bytes legacy() {
    Bytes bytes;
    put(bytes, int32_t{2});
    put_entry(bytes, "blk.0.attn_q.weight", 4, {4, 8, 12});
    put_entry(bytes, "output.weight", 0, {1, 2});
    put(bytes, int32_t{7});
    put_text(bytes, "wiki.train.raw");
    return bytes;
  }

  struct Part {
    std::string name;
    std::vector<int64_t> dims;
    std::vector<float> values;
  };
  std::filesystem::path write_gguf(const std::vector<Part>& parts) {
    GgufMetadata metadata;
    metadata.set("general.type", GgufValue::string("imatrix"));
    metadata.set("imatrix.datasets", GgufValue::strings({"calibration.txt"}));
    metadata.set("imatrix.chunk_count", GgufValue::u32(12));
    std::vector<GgufTensorSpec> specs;
    for (const Part& part : parts) specs.push_back({part.name, part.dims, WeightKind::kF32});
    const std::filesystem::path path = folder_ / "imatrix.gguf";
    AtomicFile file(path, true);
    GgufWriter writer(file, metadata, specs);
    for (const Part& part : parts) writer.write(std::as_bytes(std::span(part.values)));
    writer.finish();
    file.commit();
    return path;
  }

  std::string fault_of(const std::filesystem::path& path) {
    try {
      ImportanceMatrix::read(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
};

TEST_F(ImatrixTest, TheOlderFormIsDividedByItsCalls) {
  const ImportanceMatrix matrix = ImportanceMatrix::read(write(legacy()));
  const auto values = matrix.find("blk.0.attn_q.weight", 3);
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(matrix.find("output.weight", 2)[1], 2.0f);
  EXPECT_TRUE(matrix.find("blk.0.attn_k.weight", 3).empty());
  EXPECT_EQ(matrix.chunks(), 7);
  EXPECT_EQ(matrix.dataset(), "wiki.train.raw");
  EXPECT_EQ(matrix.file(), "imatrix.dat");
}

TEST_F(ImatrixTest, TheGgufFormIsDividedByItsCounts) {
  const ImportanceMatrix matrix =
      ImportanceMatrix::read(write_gguf({{"blk.0.ffn_up.weight.in_sum2", {2}, {6, 9}},
                                         {"blk.0.ffn_up.weight.counts", {1}, {3}},
                                         {"output.weight.in_sum2", {2}, {6, 9}},
                                         {"output.weight.counts", {1}, {0}}}));
  EXPECT_EQ(matrix.find("blk.0.ffn_up.weight", 2)[1], 3.0f);
  EXPECT_EQ(matrix.find("output.weight", 2)[0], 1.0f) << "nothing counted";
  EXPECT_EQ(matrix.chunks(), 12);
  EXPECT_EQ(matrix.dataset(), "calibration.txt");
}

TEST_F(ImatrixTest, ImportanceOfAnotherModelIsRefused) {
  const ImportanceMatrix matrix = ImportanceMatrix::read(write(legacy()));
  EXPECT_THROW(matrix.find("blk.0.attn_q.weight", 4), Error);
}

TEST_F(ImatrixTest, EveryCutIsRefused) {
  const Bytes whole = legacy();
  const size_t tail = 4 + 4 + std::string("wiki.train.raw").size();
  for (size_t length = 0; length < whole.size(); ++length) {
    if (length == whole.size() - tail || length == whole.size() - tail + 4) continue;  // optional parts
    EXPECT_NE(fault_of(write(whole.substr(0, length))), "no error") << length << " bytes";
  }
}

TEST_F(ImatrixTest, CountsThatTheFileCannotHoldAreRefused) {
  const std::vector<int32_t> impossible = {-1, 0, 1 << 30, std::numeric_limits<int32_t>::max(),
                                           std::numeric_limits<int32_t>::min()};
  for (const int32_t count : impossible) {
    for (const size_t at : {size_t{0}, size_t{4}, size_t{4 + 4 + 19 + 4}}) {
      Bytes bytes = legacy();
      if (at == 4 && count == 0) continue;  // an empty name is one
      std::memcpy(bytes.data() + at, &count, sizeof count);
      EXPECT_NE(fault_of(write(bytes)), "no error") << count << " at " << at;
    }
  }
}

TEST_F(ImatrixTest, ValuesThatAreNoMeansOfSquaresAreRefused) {
  for (const float bad : {-1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Bytes bytes;
    put(bytes, int32_t{1});
    put_entry(bytes, "output.weight", 1, {1, bad});
    EXPECT_NE(fault_of(write(bytes)).find("not a mean of squares"), std::string::npos);
    EXPECT_NE(fault_of(write_gguf({{"a.in_sum2", {2}, {1, bad}}, {"a.counts", {1}, {1}}}))
                  .find("not a mean of squares"),
              std::string::npos);
  }
}

TEST_F(ImatrixTest, EntriesThatDoNotFitEachOtherAreRefused) {
  Bytes twice;
  put(twice, int32_t{2});
  put_entry(twice, "a", 1, {1, 2, 3});
  put_entry(twice, "a", 1, {1, 2, 3});
  EXPECT_NE(fault_of(write(twice)).find("given twice"), std::string::npos);
  EXPECT_NE(fault_of(write_gguf({{"a.in_sum2", {2}, {1, 2}}})).find("no counts"), std::string::npos);
  EXPECT_NE(
      fault_of(write_gguf({{"a.in_sum2", {3}, {1, 2, 3}}, {"a.counts", {2}, {1, 1}}})).find("do not fit"),
      std::string::npos);
  EXPECT_NE(fault_of(write_gguf({{"a.counts", {1}, {1}}})).find("no entries"), std::string::npos);
  EXPECT_NE(fault_of(folder_ / "nowhere.dat"), "no error");
}

}  // namespace
}  // namespace assay
