#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace assay {

static_assert(std::endian::native == std::endian::little,
              "the containers are little-endian and read in place");

/// Reads a number at any alignment.
template <typename T>
requires std::is_arithmetic_v<T> T load_le(const std::byte* at)
noexcept {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// Sum and product of sizes taken from a file; nothing when 64 bits do not hold the result.
inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) noexcept {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional(sum);
}
inline std::optional<uint64_t> checked_multiply(uint64_t a, uint64_t b) noexcept {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional(product);
}
/// The next multiple of `alignment`, a power of two.
inline std::optional<uint64_t> checked_align(uint64_t size, uint64_t alignment) noexcept {
  const auto sum = checked_add(size, alignment - 1);
  return sum ? std::optional(*sum & ~(alignment - 1)) : std::nullopt;
}

/// Walks over the bytes of a file. Every step checks what is left; past the end it throws Error saying which
/// item was cut off, how many bytes it needs and how many there are.
class ByteCursor {
 public:
  /// `where` is the file's name for error lines.
  ByteCursor(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  template <typename T>
  requires std::is_arithmetic_v<T> T read(std::string_view item) {
    return load_le<T>(take(sizeof(T), item).data());
  }
  /// A u64 length and as many bytes.
  std::string_view read_string(std::string_view item);
  std::span<const std::byte> take(uint64_t count, std::string_view item);

  uint64_t position() const noexcept { return position_; }
  uint64_t remaining() const noexcept { return bytes_.size() - position_; }
  const std::string& where() const noexcept { return where_; }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  size_t position_ = 0;
};

}  // namespace assay
