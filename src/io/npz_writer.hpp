#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "tensor/tensor_view.hpp"

namespace assay {

/// An array of an archive that is about to be written.
struct NpzSpec {
  std::string name;  ///< the member's name without ".npy"
  DType dtype = DType::kF32;
  Shape shape;  ///< empty for a scalar
};

/// Gives the numbers of specs[index] from byte `offset` on, row-major and little-endian. Called with rising
/// offsets for one array after the other, in the order of the specs; whatever it throws ends the writing.
using NpzFill = std::function<void(size_t index, uint64_t offset, std::span<std::byte> out)>;

/// Writes an archive that numpy.load and MLX read: zip members that are stored, not deflated, so that the
/// size is known before; format 1.0 of .npy, in numpy's own spelling; no time stamps, so that the same
/// numbers give the same bytes. Zip64 where sizes ask for it. The file appears whole or not at all. Throws
/// Error when it exists and `overwrite` is false, when a name is no safe one or given twice, for an element
/// type that numpy lacks (8-bit floats), and when the disk refuses. Sources: numpy/lib/format.py; PKWARE
/// APPNOTE 6.3.
void write_npz(const std::filesystem::path& path, std::span<const NpzSpec> specs, const NpzFill& fill,
               bool overwrite);

/// Bytes of the file that write_npz() makes of these.
uint64_t planned_npz_bytes(std::span<const NpzSpec> specs);

/// Magic, version, length and text of the .npy header, padded to a multiple of 64 bytes.
std::string npy_preamble(const NpzSpec& spec);

}  // namespace assay
