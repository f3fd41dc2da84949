#include "io/csv.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace assay {
namespace {

/// Reads one record into `cells`; returns what is left of `bytes`. `line` moves on with the breaks passed.
std::string_view take_record(std::string_view bytes, char separator, const std::string& where, size_t& line,
                             std::vector<std::string>& cells) {
  size_t at = 0;
  for (;;) {
    std::string& cell = cells.emplace_back();
    if (at < bytes.size() && bytes[at] == '"') {
      const size_t opened = line;
      for (++at;; ++at) {
        if (at >= bytes.size())
          throw Error({"a quote is never closed", fmt::format("{}:{}", where, opened), {}, {}, {}});
        if (bytes[at] == '\n') ++line;
        if (bytes[at] == '"') {
          if (at + 1 >= bytes.size() || bytes[at + 1] != '"') break;
          ++at;
        }
        cell += bytes[at];
      }
      ++at;
    } else {
      while (at < bytes.size() && bytes[at] != separator && bytes[at] != '\n') cell += bytes[at++];
      const bool ends_line = at >= bytes.size() || bytes[at] == '\n';
      if (ends_line && cell.ends_with('\r')) cell.pop_back();
    }
    if (at + 1 < bytes.size() && bytes[at] == '\r' && bytes[at + 1] == '\n') ++at;
    if (at < bytes.size() && bytes[at] == separator) {
      ++at;
      continue;
    }
    if (at < bytes.size() && bytes[at] != '\n')
      throw Error({"text stands behind a closing quote",
                   fmt::format("{}:{}", where, line),
                   {},
                   {},
                   "a quote inside is doubled"});
    ++line;
    return bytes.substr(std::min(at + 1, bytes.size()));
  }
}

}  // namespace

std::vector<CsvRecord> parse_csv(std::string_view bytes, char separator, const std::string& where) {
  std::vector<CsvRecord> records;
  size_t line = 1;
  while (!bytes.empty()) {
    CsvRecord record{{}, line};
    const bool blank = bytes[0] == '\n' || bytes.starts_with("\r\n");
    bytes = take_record(bytes, separator, where, line, record.cells);
    if (!blank) records.push_back(std::move(record));
  }
  return records;
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? std::string("\"\"") : std::string(1, c);
  return cell + "\"";
}

}  // namespace assay
