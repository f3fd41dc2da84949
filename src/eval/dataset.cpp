#include "eval/dataset.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/csv.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr size_t kLargestFile = size_t{2} << 30;

void add_row(json value, std::string where, std::vector<DatasetRow>& rows) {
  if (value.is_string()) value = json{{"prompt", std::move(value)}};
  if (!value.is_object())
    throw Error({"a row is neither an object nor a text", where, {}, value.type_name(), {}});
  rows.push_back({std::move(value), std::move(where)});
}

void add_array(json& array, const std::string& name, std::vector<DatasetRow>& rows) {
  for (size_t i = 0; i < array.size(); ++i)
    add_row(std::move(array[i]), fmt::format("{}[{}]", name, i), rows);
}

bool holds_rows(const json& value) {
  return value.is_array() && !value.empty() && (value[0].is_object() || value[0].is_string());
}

std::vector<DatasetRow> rows_of_document(json document, const std::string& name) {
  std::vector<DatasetRow> rows;
  if (document.is_array()) {
    add_array(document, name, rows);
    return rows;
  }
  for (const char* member : {"prompts", "results", "data", "rows", "examples"}) {
    const auto found = document.is_object() ? document.find(member) : document.end();
    if (found == document.end() || !holds_rows(*found)) continue;
    add_array(*found, fmt::format("{}: {}", name, member), rows);
    return rows;
  }
  if (document.is_object())
    for (auto& [member, value] : document.items())
      if (holds_rows(value)) add_array(value, fmt::format("{}: {}", name, member), rows);
  if (rows.empty()) throw Error({"no rows", name, "an array of objects or texts", document.type_name(), {}});
  return rows;
}

std::vector<DatasetRow> rows_of_lines(std::string_view bytes, const std::string& name) {
  std::vector<DatasetRow> rows;
  for (size_t number = 1; !bytes.empty(); ++number) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", name, number);
    add_row(parse_json(line, where), where, rows);
  }
  return rows;
}

std::vector<DatasetRow> rows_of_table(std::string_view bytes, char separator, const std::string& name) {
  const std::vector<CsvRecord> records = parse_csv(bytes, separator, name);
  std::vector<DatasetRow> rows;
  for (size_t i = 1; i < records.size(); ++i) {
    DatasetRow& row =
        rows.emplace_back(DatasetRow{json::object(), fmt::format("{}:{}", name, records[i].line)});
    if (records[i].cells.size() != records[0].cells.size())
      throw Error({"a row has another number of cells", row.where, std::to_string(records[0].cells.size()),
                   std::to_string(records[i].cells.size()), "a text with separators must stand in quotes"});
    for (size_t c = 0; c < records[i].cells.size(); ++c)
      row.fields[records[0].cells[c]] = records[i].cells[c];
  }
  return rows;
}

/// Whether a .json file holds one object a line: its first line is a whole document and not the last.
bool is_json_lines(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  return bytes.starts_with('{') && end != std::string_view::npos &&
         bytes.find_first_not_of(" \t\r\n", end) != std::string_view::npos &&
         json::accept(bytes.substr(0, end));
}

}  // namespace

std::vector<DatasetRow> parse_dataset(std::string_view bytes, const fs::path& path) {
  const std::string name = path.filename().string(), kind = path.extension().string();
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  std::vector<DatasetRow> rows;
  if (kind == ".jsonl" || kind == ".ndjson" || (kind == ".json" && is_json_lines(bytes)))
    rows = rows_of_lines(bytes, name);
  else if (kind == ".csv" || kind == ".tsv")
    rows = rows_of_table(bytes, kind == ".csv" ? ',' : '\t', name);
  else if (kind == ".json")
    rows = rows_of_document(parse_json(bytes, path.string()), name);
  else
    throw UsageError({"the format does not follow from the file's name", path.string(),
                      ".json, .jsonl, .csv or .tsv", kind.empty() ? "no extension" : kind,
                      kind == ".gz" ? "unpack it first" : ""});
  if (rows.empty()) throw Error({"no rows", path.string(), {}, {}, "an empty file?"});
  return rows;
}

std::vector<DatasetRow> read_dataset(const fs::path& path) {
  return parse_dataset(read_text_file(path, kLargestFile), path);
}

std::string text_member(const DatasetRow& row, const std::string& name) {
  const auto found = row.fields.find(name);
  if (found == row.fields.end() || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number_integer() || found->is_boolean()) return found->dump();
  throw Error({fmt::format("\"{}\" is no text", name), row.where, "a string", found->type_name(), {}});
}

}  // namespace assay
