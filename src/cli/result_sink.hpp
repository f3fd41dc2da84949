#pragma once
#include <memory>
#include <nlohmann/json.hpp>
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

/// One JSON document whose long list is written row by row, so that a million rows need no memory.
class JsonList {
 public:
  /// `head`: the members before the list, at least one.
  JsonList(ResultSink& sink, const nlohmann::ordered_json& head, const std::string& name);
  /// A row, as JSON text on one line.
  void add(std::string_view row);
  /// `tail`: members after the list.
  void end(const nlohmann::ordered_json& tail = nlohmann::ordered_json::object());

 private:
  ResultSink& sink_;
  bool any_ = false;
};

/// The extension of `path` without its dot, "jsonl" for stdout. Throws UsageError when it is not one of
/// `known`.
std::string result_format(const std::string& path, std::span<const std::string_view> known);

/// The shortest decimal that reads back as the same number; "null" (JSON) for NaN and infinities.
std::string json_number(float value);
/// [a,b,…]
std::string json_numbers(std::span<const float> values);

}  // namespace assay
