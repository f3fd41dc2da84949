#pragma once
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/file.hpp"
#include "tensor/weight_format.hpp"

namespace assay {

/// Type ids of GGUF metadata values. Source: ggml docs/gguf.md.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
/// "u32", "string"; "?" for a number that is no type.
std::string_view gguf_type_name(GgufType type) noexcept;

struct GgufValue;
/// A homogeneous array (nested arrays are refused, as ggml does). Numbers are widened; `type` keeps the
/// stored element type so that a copy writes the same bytes.
struct GgufArray {
  GgufType type = GgufType::kU32;
  std::variant<std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>, std::vector<std::string>>
      values;
  size_t size() const noexcept;
};
struct GgufValue {
  GgufType type = GgufType::kU32;
  std::variant<uint64_t, int64_t, double, bool, std::string, GgufArray> value;

  static GgufValue u32(uint32_t v), u16(uint16_t v), i32(int32_t v), u64(uint64_t v), f32(float v),
      boolean(bool v), string(std::string v), strings(std::vector<std::string> v),
      i32s(std::vector<int64_t> v), f32s(std::vector<double> v);
};

/// Metadata in file order with checked, typed access.
class GgufMetadata {
 public:
  const GgufValue* find(std::string_view key) const noexcept;
  /// Each throws Error naming the key when it is missing or of another type; integers accept any integer type
  /// whose value fits.
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const std::string& string(std::string_view key) const;
  const std::vector<std::string>& strings(std::string_view key) const;
  /// Integer arrays of any width, widened; float arrays widened.
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  /// The same with a default for a missing key (a wrong type still throws).
  int64_t integer_or(std::string_view key, int64_t fallback) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string fallback) const;

  /// Replaces in place or appends.
  void set(std::string key, GgufValue value);
  /// Does nothing when the key is missing.
  void erase(std::string_view key);
  const std::vector<std::pair<std::string, GgufValue>>& entries() const noexcept { return entries_; }

 private:
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::map<std::string, size_t, std::less<>> index_;  ///< position in entries_ by key
};

/// A tensor of a GGUF file. dims are ggml's: fastest first, so dims[0] is the row length.
struct GgufTensor {
  std::string name;
  std::vector<int64_t> dims;
  WeightKind kind = WeightKind::kF32;
  std::span<const std::byte> bytes;

  int64_t cols() const noexcept { return dims.empty() ? 1 : dims[0]; }
  /// Product of the other dimensions.
  int64_t rows() const noexcept;
  WeightView view() const noexcept;
};

/// Reads GGUF v2 and v3, little-endian, one file or all parts of a split (given part 1, or any part). Checked
/// like ggml's own reader and harder: counts against remaining bytes before allocation, overflow-free
/// products, offsets equal to the running sum of padded sizes, every tensor inside its file, nothing behind
/// the last one, unique names.
class GgufFile {
 public:
  /// Throws Error naming the corruption and its likely cause.
  explicit GgufFile(const std::filesystem::path& path);

  /// Of a split: part 1's, without the `split.*` keys, which describe a file and not the model.
  const GgufMetadata& metadata() const noexcept { return metadata_; }
  /// In file order; a split's parts follow each other.
  const std::vector<GgufTensor>& tensors() const noexcept { return tensors_; }
  const GgufTensor* find(std::string_view name) const noexcept;
  /// The files read: one, or every part in order.
  const std::vector<MappedFile>& files() const noexcept { return files_; }
  uint32_t version() const noexcept { return version_; }

 private:
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::vector<MappedFile> files_;
  uint32_t version_ = 3;
};

/// A tensor to be written, before any bytes exist.
struct GgufTensorSpec {
  std::string name;  ///< at most 63 bytes
  std::vector<int64_t> dims;
  WeightKind kind;
};

/// Streams a GGUF v3 file whose header is known in advance; the header and each tensor are padded to 32
/// bytes, or to what the metadata's `general.alignment` says. Metadata keeps its order, trailing dimensions
/// of 1 are dropped as ggml does.
class GgufWriter {
 public:
  /// `file` must be empty. Throws Error for names that are empty, too long or repeated, for a row that is no
  /// whole number of blocks, for more than 4 dimensions.
  GgufWriter(AtomicFile& file, const GgufMetadata& metadata, std::vector<GgufTensorSpec> specs);
  /// Appends to the tensor whose turn it is; moves on when it is full. Throws Error past the planned slot.
  void write(std::span<const std::byte> bytes);
  /// Checks that every slot was filled to the byte. Does not commit the file.
  void finish();

  static uint64_t planned_bytes(const GgufMetadata& metadata, const std::vector<GgufTensorSpec>& specs);

 private:
  void close_full_slots();

  AtomicFile& file_;
  std::vector<GgufTensorSpec> specs_;
  uint64_t alignment_;
  std::vector<uint64_t> ends_;  ///< file offset at which each tensor's own bytes end
  size_t current_ = 0;
};

}  // namespace assay
