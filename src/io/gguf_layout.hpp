#pragma once
#include <span>
#include <string>
#include <vector>

#include "io/byte_cursor.hpp"
#include "io/gguf.hpp"

/// What the reader and the writer of GGUF share, below the public face in gguf.hpp.
///
///   "GGUF" | u32 version | u64 n_tensors | u64 n_entries | entries | tensor infos | padding | tensors
///   entry       = string key | u32 type | value
///   string      = u64 length | bytes
///   array       = u32 element type | u64 count | elements
///   tensor info = string name | u32 n_dims | n_dims × u64, fastest first | u32 kind | u64 offset
///
/// Offsets count from the first tensor byte. Little-endian. Source: ggml docs/gguf.md, src/gguf.cpp.
namespace assay {

inline constexpr uint32_t kGgufMagic = 0x46554747;  ///< "GGUF"
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr size_t kGgufMaxNameBytes = 63;    ///< GGML_MAX_NAME less the NUL
inline constexpr size_t kGgufMaxKeyBytes = 65535;  ///< docs/gguf.md, "gguf_metadata_kv_t"
inline constexpr size_t kGgufMaxDims = 4;

/// One file, parsed. Tensor bytes point into the span it was parsed from.
struct GgufPart {
  uint32_t version = kGgufVersion;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
};

/// Parses a whole file held in memory; `where` names it in errors. Knows nothing of splits.
GgufPart parse_gguf(std::span<const std::byte> bytes, const std::string& where);

/// Bytes of a stored value, 0 for strings and arrays, which have no fixed size.
size_t gguf_type_bytes(GgufType type) noexcept;

/// Appends the bytes of a number.
template <typename T>
requires std::is_arithmetic_v<T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
/// Appends the u64 length and the bytes.
inline void append_gguf_string(std::string& out, std::string_view text) {
  append_number(out, uint64_t{text.size()});
  out += text;
}

/// Reads the type and the value that follow a key.
GgufValue read_gguf_value(ByteCursor& cursor, const std::string& key);
/// Appends the type and the value.
void append_gguf_value(std::string& out, const GgufValue& value);

/// `general.alignment` or the default. Throws Error unless it is a u32 and a power of two.
uint64_t gguf_alignment(const GgufMetadata& metadata, const std::string& where);

/// Bytes of a tensor of these dims; throws Error naming `where` when a row is no whole number of blocks, a
/// dimension is negative, or a product overflows 63 bits.
uint64_t gguf_tensor_bytes(const std::vector<int64_t>& dims, WeightKind kind, const std::string& where);

}  // namespace assay
