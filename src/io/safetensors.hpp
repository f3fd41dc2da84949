#pragma once
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "tensor/tensor_view.hpp"

namespace assay {

/// Reads a safetensors file: u64 header length, JSON header, tensor bytes. Everything is checked before any
/// tensor can be touched: header length against the file, sizes against shapes (checked arithmetic), ranges
/// inside the file and without overlap or hole, names unique. Accepts any order of header and data, unaligned
/// data and padding in the header. Source: huggingface/safetensors README ("Format"), lib.rs `validate`.
class SafetensorsFile {
 public:
  /// Throws Error naming the corruption and its likely cause (Git LFS pointer, incomplete download, …).
  explicit SafetensorsFile(const std::filesystem::path& path);

  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  SafetensorsFile(SafetensorsFile&&) noexcept = default;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept = default;

  /// In the order of their bytes in the file.
  const std::vector<TensorView>& tensors() const noexcept { return tensors_; }
  const TensorView* find(std::string_view name) const noexcept;
  /// The texts of `__metadata__`. A name that is an alias of another tensor may stand here alone, as
  /// {"model.embed_tokens.weight": "lm_head.weight"}; to resolve it is the caller's.
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  const MappedFile& file() const noexcept { return file_; }
  uint64_t header_bytes() const noexcept { return header_bytes_; }

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
  uint64_t header_bytes_ = 0;
};

/// A tensor to be written: name, type and shape, before any bytes exist.
struct TensorSpec {
  std::string name;
  DType dtype;
  Shape shape;
};

/// Streams a safetensors file whose whole header is known in advance. Tensors are laid out in the order of
/// `specs`; the header is padded with spaces to a multiple of 64, so that 64-byte-sized tensors stay aligned.
class SafetensorsWriter {
 public:
  /// `file` must be empty. Throws Error when names repeat or sizes overflow.
  SafetensorsWriter(AtomicFile& file, std::vector<TensorSpec> specs,
                    const std::map<std::string, std::string>& metadata);
  /// Appends to the tensor whose turn it is. Throws Error when the bytes exceed the planned slot.
  void write(std::span<const std::byte> bytes);
  /// Checks that every slot was filled to the byte. Does not commit the file.
  void finish();

  /// Size of the whole file for these specs, before anything is written.
  static uint64_t planned_bytes(const std::vector<TensorSpec>& specs,
                                const std::map<std::string, std::string>& metadata);

 private:
  void skip_full_slots() noexcept;

  AtomicFile& file_;
  std::vector<TensorSpec> specs_;
  std::vector<uint64_t> ends_;  ///< file offset at which each tensor ends
  size_t current_ = 0;
};

}  // namespace assay
