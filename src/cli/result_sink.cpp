#include "cli/result_sink.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/error.hpp"
#include "cli/options.hpp"

namespace assay {

ResultSink::ResultSink(const std::string& path, bool overwrite) {
  if (!path.empty()) file_ = std::make_unique<AtomicFile>(expand_path(path), overwrite);
}

void ResultSink::write(std::string_view bytes) {
  if (file_)
    file_->write(bytes);
  else if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
    throw Error("cannot write to standard output");
}

void ResultSink::commit() {
  if (file_)
    file_->commit();
  else if (std::fflush(stdout) != 0)
    throw Error("cannot write to standard output");
}

JsonList::JsonList(ResultSink& sink, const nlohmann::ordered_json& head, const std::string& name)
    : sink_(sink) {
  std::string text = json_text(head);
  text.resize(text.rfind('\n', text.size() - 2));  // the closing brace stands on a line of its own
  sink_.write(text + ",\n  \"" + name + "\": [");
}

void JsonList::add(std::string_view row) {
  sink_.write(any_ ? ",\n    " : "\n    ");
  sink_.write(row);
  any_ = true;
}

void JsonList::end(const nlohmann::ordered_json& tail) {
  sink_.write("\n  ]");
  if (tail.empty()) return sink_.write("\n}\n");
  sink_.write("," + json_text(tail).substr(1));  // without its opening brace
}

std::string result_format(const std::string& path, std::span<const std::string_view> known) {
  if (path.empty()) return "jsonl";
  std::string kind = std::filesystem::path(path).extension().string();
  if (!kind.empty()) kind.erase(0, 1);
  if (std::find(known.begin(), known.end(), kind) == known.end())
    throw UsageError({"the format does not follow from the output's name",
                      path,
                      fmt::format("an extension of {}", fmt::join(known, ", ")),
                      kind.empty() ? "none" : kind,
                      {}});
  return kind;
}

std::string json_number(float value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

std::string json_numbers(std::span<const float> values) {
  std::string out = "[";
  for (const float value : values) {
    if (out.size() > 1) out += ',';
    out += json_number(value);
  }
  return out + "]";
}

}  // namespace assay
