#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/thread_pool.hpp"

namespace assay {

/// One thing that was proven, or not.
struct Check {
  std::string name;  ///< "error bound"
  bool ok = false;
  std::string detail;  ///< figures when it holds; what, where, expected and found when it does not
};

struct Verification {
  std::filesystem::path path;
  std::vector<Check> checks;

  bool ok() const noexcept;
};

/// Proves an output (a GGUF file, an MLX directory or one of int8 or int4) against the checkpoint it was made
/// from. Checks, in this order: "opens", "no float twin", "manifest", "tensors", "planned bytes", "formats",
/// "error bound", "packing", "finite", "configuration", "tokenizer", and for encoders "side files". Every
/// element of every tensor is decoded and compared; nothing is sampled. The recipe comes from the manifest
/// beside the output, or from what the file says of itself. Throws Error when the source cannot be read;
/// everything about the output becomes a check.
Verification verify_output(const std::filesystem::path& output, const std::filesystem::path& source,
                           ThreadPool& pool, Progress& progress);

/// {path, ok, checks:[{name, ok, detail}]}
nlohmann::json verification_json(const Verification& verification);

}  // namespace assay
