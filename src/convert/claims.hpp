#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace assay {

/// What a name promises: "model-q4" says 4 bits, "X-Q4_K_M.gguf" says 4 bits in K-quants.
struct Claim {
  int bits = 0;
  std::string text;      ///< the part of the name that says so
  bool k_quant = false;  ///< a K-quant mix is named
};

/// Only the end of a name promises: "tiny-q4-distilled" does not. Reads the last part of the path, and the
/// folder's name where the file's own is a generic "model…".
std::optional<Claim> find_claim(const std::filesystem::path& path);

}  // namespace assay
