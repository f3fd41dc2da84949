#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/file.hpp"

namespace assay {

/// Where the results of embed and classify go: stdout, or a file that appears whole or not at all.
class ResultSink {
 public:
  /// `path` empty: stdout. Throws Error when the file exists and `overwrite` is false.
  ResultSink(const std::string& path, bool overwrite);
  /// Throws Error when the disk is full or the pipe is closed.
  void write(std::string_view bytes);
  void commit();

 private:
  std::unique_ptr<AtomicFile> file_;
};

/// The extension of `path` without its dot, "jsonl" for stdout. Throws UsageError when it is not one of
/// `known`.
std::string result_format(const std::string& path, std::span<const std::string_view> known);

/// The shortest decimal that reads back as the same number; "null" (JSON) for NaN and infinities.
std::string json_number(float value);
/// [a,b,…]
std::string json_numbers(std::span<const float> values);

}  // namespace assay
