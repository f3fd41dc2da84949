#pragma once
#include <string>
#include <string_view>

#include "tensor/tensor_view.hpp"

namespace assay {

/// What the header of a .npy file says.
struct NpyHeader {
  DType dtype = DType::kF32;
  bool fortran_order = false;
  Shape shape;
};

/// Parses the Python literal of a .npy header, e.g. "{'descr': '<f4', 'fortran_order': False, 'shape':
/// (3,)}". Throws Error naming `where` for anything else: other keys, big-endian or structured types, pickled
/// objects. Source: numpy/lib/format.py, "Format Version 1.0".
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

}  // namespace assay
