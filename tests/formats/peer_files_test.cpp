// Blocks in files that others wrote, decoded and packed again from their full-precision source.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "formats/cases.hpp"
#include "support/test_data.hpp"

namespace assay::test {
namespace {

/// Reads little-endian numbers and strings from the front of a file image.
class Cursor {
 public:
  explicit Cursor(const std::vector<std::byte>& bytes) : bytes_(bytes) {}
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text(size_t length) {
    std::string text(length, '\0');
    std::memcpy(text.data(), bytes_.data() + at_, length);
    at_ += length;
    return text;
  }
  void skip(size_t length) { at_ += length; }
  size_t at() const { return at_; }
  bool done() const { return at_ >= bytes_.size(); }

 private:
  const std::vector<std::byte>& bytes_;
  size_t at_ = 0;
};

struct FileTensor {
  uint32_t kind;
  int64_t cols, rows;
  size_t at;
};
using Tensors = std::map<std::string, FileTensor>;

/// rwkv.cpp's container: magic, version and four sizes; then per tensor: dimensions, name length and type,
/// the dimensions (fastest first), the name and the data. Its types 7 and 8 are ggml's Q5_0 and Q5_1.
Tensors list_rwkv(const std::vector<std::byte>& bytes) {
  Tensors tensors;
  Cursor cursor(bytes);
  cursor.skip(24);
  while (!cursor.done()) {
    const auto n_dims = cursor.take<int32_t>(), name_length = cursor.take<int32_t>();
    const auto type = cursor.take<int32_t>();
    const int64_t cols = cursor.take<int32_t>(), rows = n_dims > 1 ? cursor.take<int32_t>() : 1;
    const std::string name = cursor.text(static_cast<size_t>(name_length));
    const WeightKind kind = type == 7   ? WeightKind::kQ5_0
                            : type == 8 ? WeightKind::kQ5_1
                                        : static_cast<WeightKind>(type);
    tensors[name] = {static_cast<uint32_t>(kind), cols, rows, cursor.at()};
    cursor.skip(row_bytes(ggml_format(kind), cols).codes * static_cast<size_t>(rows));
  }
  return tensors;
}

size_t gguf_value_bytes(uint32_t type) {
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[type];
}

void skip_gguf_value(Cursor& cursor, uint32_t type) {
  constexpr uint32_t kString = 8, kArray = 9;
  if (type == kString) return cursor.skip(cursor.take<uint64_t>());
  if (type != kArray) return cursor.skip(gguf_value_bytes(type));
  const auto element = cursor.take<uint32_t>();
  const auto count = cursor.take<uint64_t>();
  for (uint64_t i = 0; i < count; ++i) skip_gguf_value(cursor, element);
}

/// Just enough of GGUF to find the tensors of a well-formed file with the default alignment of 32.
Tensors list_gguf(const std::vector<std::byte>& bytes) {
  Tensors tensors;
  Cursor cursor(bytes);
  cursor.skip(8);
  const auto n_tensors = cursor.take<uint64_t>(), n_values = cursor.take<uint64_t>();
  for (uint64_t i = 0; i < n_values; ++i) {
    cursor.skip(cursor.take<uint64_t>());
    skip_gguf_value(cursor, cursor.take<uint32_t>());
  }
  for (uint64_t i = 0; i < n_tensors; ++i) {
    const std::string name = cursor.text(cursor.take<uint64_t>());
    const auto n_dims = cursor.take<uint32_t>();
    const auto cols = cursor.take<int64_t>(), rows = n_dims > 1 ? cursor.take<int64_t>() : int64_t{1};
    const auto kind = cursor.take<uint32_t>();
    tensors[name] = {kind, cols, rows, cursor.take<uint64_t>()};
  }
  const size_t data = (cursor.at() + 31) / 32 * 32;
  for (auto& [name, tensor] : tensors) tensor.at += data;
  return tensors;
}

std::vector<float> floats_at(const std::vector<std::byte>& bytes, size_t at, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::memcpy(values.data(), bytes.data() + at, values.size() * sizeof(float));
  return values;
}

/// Packs every row of `source` and compares with the file's bytes; counts what differs and what the bound
/// of the file's own blocks does not cover.
struct Comparison {
  int64_t rows = 0, differing = 0, violations = 0;
};

void compare_rows(const std::vector<std::byte>& packed_file, const FileTensor& packed,
                  const std::vector<float>& source, Comparison& result) {
  const WeightFormat format = ggml_format(static_cast<WeightKind>(packed.kind));
  const size_t size = row_bytes(format, packed.cols).codes;
  for (int64_t row = 0; row < packed.rows; ++row) {
    const std::byte* at = packed_file.data() + packed.at + static_cast<size_t>(row) * size;
    const Packed theirs{{at, at + size}, {}, {}};
    const std::vector<float> values(source.begin() + row * packed.cols,
                                    source.begin() + (row + 1) * packed.cols);
    ++result.rows;
    result.differing += pack(format, values) != theirs;
    result.violations += count_violations(format, values, theirs);
  }
}

void compare_rwkv(const std::filesystem::path& full_path, const std::filesystem::path& packed_path,
                  WeightKind kind) {
  const auto full = read_numbers<std::byte>(full_path), packed = read_numbers<std::byte>(packed_path);
  const Tensors full_tensors = list_rwkv(full), packed_tensors = list_rwkv(packed);
  Comparison result;
  for (const auto& [name, tensor] : packed_tensors) {
    if (tensor.kind != static_cast<uint32_t>(kind)) continue;
    const FileTensor& source = full_tensors.at(name);
    ASSERT_EQ(source.cols, tensor.cols);
    compare_rows(packed, tensor, floats_at(full, source.at, source.cols * source.rows), result);
  }
  EXPECT_GT(result.rows, 4000);
  EXPECT_EQ(result.differing, 0);
  EXPECT_EQ(result.violations, 0);
}

TEST(PeerFiles, RwkvQ5_0IsReproducedByteForByte) {
  ASSAY_NEED_DATA(full, "peers/rwkv/tiny-rwkv-4v0-660K-FP32.bin");
  compare_rwkv(full, data_folder() / "peers/rwkv/tiny-rwkv-4v0-660K-Q5_0.bin", WeightKind::kQ5_0);
}

TEST(PeerFiles, RwkvQ5_1IsReproducedByteForByte) {
  ASSAY_NEED_DATA(full, "peers/rwkv/tiny-rwkv-4v0-660K-FP32.bin");
  compare_rwkv(full, data_folder() / "peers/rwkv/tiny-rwkv-4v0-660K-Q5_1.bin", WeightKind::kQ5_1);
}

// Tensors whose rows llama.cpp does not permute, under both names.
TEST(PeerFiles, TinyStoriesQ8_0IsReproducedByteForByte) {
  ASSAY_NEED_DATA(full_path, "models/TinyStories-656K/model.safetensors");
  const auto full = read_numbers<std::byte>(full_path);
  const auto packed =
      read_numbers<std::byte>(data_folder() / "models/TinyStories-656K/gguf/TinyStories-656K-Q8_0.gguf");
  const size_t header = Cursor(full).take<uint64_t>();
  const auto* text = reinterpret_cast<const char*>(full.data()) + 8;
  const nlohmann::json index = nlohmann::json::parse(text, text + header);
  const Tensors tensors = list_gguf(packed);
  const std::pair<const char*, const char*> kNames[] = {
      {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"}, {"ffn_gate", "mlp.gate_proj"},
      {"ffn_up", "mlp.up_proj"},      {"ffn_down", "mlp.down_proj"},
  };
  Comparison result;
  for (const char* layer : {"0", "1"}) {
    for (const auto& [gguf_name, source_name] : kNames) {
      const FileTensor& tensor = tensors.at(std::string("blk.") + layer + "." + gguf_name + ".weight");
      ASSERT_EQ(tensor.kind, static_cast<uint32_t>(WeightKind::kQ8_0));
      const auto& entry = index.at(std::string("model.layers.") + layer + "." + source_name + ".weight");
      ASSERT_EQ(entry.at("dtype"), "F32");
      const size_t at = 8 + header + entry.at("data_offsets").at(0).get<size_t>();
      compare_rows(packed, tensor, floats_at(full, at, tensor.rows * tensor.cols), result);
    }
  }
  EXPECT_EQ(result.rows, 2 * (64 + 128 + 384 + 384 + 128));
  EXPECT_EQ(result.differing, 0);
  EXPECT_EQ(result.violations, 0);
}

// gguf-py's decoding of random K-quants; its float64-free numpy code gives the same f32 values.
TEST(PeerFiles, KQuantsDecodeLikeGgufPy) {
  ASSAY_NEED_DATA(path, "golden-arch/neural-api/tiny_kquant.gguf");
  const auto bytes = read_numbers<std::byte>(path);
  std::ifstream file(data_folder() / "golden-arch/neural-api/tiny_kquant_ref.json");
  const nlohmann::json reference = nlohmann::json::parse(file);
  int compared = 0;
  for (const auto& [name, tensor] : list_gguf(bytes)) {
    const WeightKindFacts* facts = find_weight_kind(tensor.kind);
    ASSERT_NE(facts, nullptr);
    const auto values = reference.at("dequant").find(std::string(facts->name));
    if (values == reference.at("dequant").end()) continue;
    const WeightFormat format = ggml_format(facts->kind);
    const int64_t count = tensor.rows * tensor.cols;
    const std::byte* at = bytes.data() + tensor.at;
    const Packed packed{{at, at + row_bytes(format, count).codes}, {}, {}};
    EXPECT_EQ(unpack(format, packed, count), values->get<std::vector<float>>()) << facts->name;
    ++compared;
  }
  EXPECT_EQ(compared, 4);
}

}  // namespace
}  // namespace assay::test
