#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor_view.hpp"

struct zip;

namespace assay {

/// One array of an archive, known by its header; the numbers are still in the file.
struct NpzArray {
  std::string name;  ///< the member's name without ".npy"
  DType dtype = DType::kF32;
  Shape shape;         ///< empty for a scalar
  uint64_t bytes = 0;  ///< of the numbers: count_elements(shape) * dtype_bytes(dtype)

  bool fortran_order = false;  ///< how they lie in the file; NpzFile::read() returns row-major
  uint64_t member = 0;         ///< position in the zip
  uint64_t header_bytes = 0;   ///< of the .npy header before the numbers
};

/// Reads what numpy.savez, savez_compressed and MLX write: a zip, also zip64, of .npy members, stored or
/// deflated, format 1 to 3, little-endian numbers. Opening reads the headers alone; read() holds one array.
/// Nothing is allocated that the compressed bytes could not yield. Pickled objects are never read. Not safe
/// to share between threads. Source: numpy/lib/format.py.
class NpzFile {
 public:
  /// Throws Error naming the corruption and its likely cause.
  explicit NpzFile(const std::filesystem::path& path);

  /// In the order of the archive.
  const std::vector<NpzArray>& arrays() const noexcept { return arrays_; }
  const NpzArray* find(std::string_view name) const noexcept;
  /// The numbers, row-major, little-endian, checked against the archive's CRC. `array` must be of this file.
  std::vector<std::byte> read(const NpzArray& array) const;
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  struct CloseArchive {
    void operator()(zip* archive) const noexcept;
  };
  std::filesystem::path path_;
  std::unique_ptr<zip, CloseArchive> archive_;
  std::vector<NpzArray> arrays_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace assay
