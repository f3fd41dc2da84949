#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// A record of a CSV file and the line on which it begins.
struct CsvRecord {
  std::vector<std::string> cells;
  size_t line = 0;
};
/// Records as RFC 4180 writes them: cells in quotes may hold separators, line breaks and doubled quotes;
/// lines end with \n or \r\n; a line without anything is no record. Throws Error naming `where` and the line
/// for a quote that never closes and for text behind a closing quote.
std::vector<CsvRecord> parse_csv(std::string_view bytes, char separator, const std::string& where);
/// The cell, in quotes where RFC 4180 asks for them.
std::string csv_cell(std::string_view text);

}  // namespace assay
