#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "convert/plan.hpp"

namespace assay {

/// Streams the planned safetensors files of a directory. Bytes come in the order of the plan's specs; a file
/// is committed when its last tensor is full.
class DirectoryWeights {
 public:
  DirectoryWeights(const std::filesystem::path& folder, const Plan& plan) : folder_(folder), plan_(plan) {}
  /// `bytes` must end at or before the end of the tensor part whose turn it is.
  void write(std::span<const std::byte> bytes);
  /// Throws std::logic_error when a planned byte is missing.
  void finish();

 private:
  void open_next();

  std::filesystem::path folder_;
  const Plan& plan_;
  size_t next_file_ = 0;
  uint64_t left_ = 0;  ///< bytes of the open file still to come
  std::unique_ptr<AtomicFile> file_;
  std::unique_ptr<SafetensorsWriter> writer_;
};

/// What travels on unchanged: tokenizer, generation config, chat template, licence and, of an encoder, the
/// files of sentence-transformers with their folders and the weights of its Dense modules. Relative to the
/// source's folder, those that exist, each once.
std::vector<std::filesystem::path> carried_files(const ConversionSource& source);

/// Copies carried_files() into `folder` and returns their names.
std::vector<std::string> copy_carried_files(const std::filesystem::path& folder,
                                            const ConversionSource& source);

/// Writes everything beside the weights: config.json, the index where the format wants one, README.md and
/// carried_files(). Returns the names of all files, weights included.
std::vector<std::string> write_side_files(const std::filesystem::path& folder, const ConversionSource& source,
                                          const Plan& plan);

}  // namespace assay
