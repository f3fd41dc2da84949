#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace assay {

/// An importance matrix: for each weight the mean square of every input that its columns met while a model
/// read some text. llama-imatrix writes it as GGUF (tensors `NAME.in_sum2` and `NAME.counts`) or in its older
/// form
/// (.dat: names, counts of calls and values). Source: llama.cpp tools/imatrix, common/imatrix-loader.cpp.
class ImportanceMatrix {
 public:
  /// Reads either form. Every count is checked against the bytes that are left before anything is allocated;
  /// Throws Error naming the entry when a value is negative, NaN or infinite, a name occurs twice, a sum
  /// lacks its counts or sizes disagree.
  static ImportanceMatrix read(const std::filesystem::path& path);

  /// One importance per column; empty for a tensor that the matrix does not cover (or covers per expert).
  /// Throws Error when it covers the tensor with another number of columns.
  std::span<const float> find(const std::string& tensor, int64_t cols) const;

  /// By GGUF tensor name.
  const std::map<std::string, std::vector<float>>& entries() const noexcept { return entries_; }
  /// The file's own name, the text it was made from ("" where unknown) and how many pieces of it (0:
  /// unknown).
  const std::string& file() const noexcept { return file_; }
  const std::string& dataset() const noexcept { return dataset_; }
  int64_t chunks() const noexcept { return chunks_; }

 private:
  void read_gguf(const std::filesystem::path& path);
  void read_legacy(const std::filesystem::path& path);
  void add(std::string name, std::vector<float> values);

  std::map<std::string, std::vector<float>> entries_;
  std::string file_, dataset_, path_;
  int64_t chunks_ = 0;
};

}  // namespace assay
