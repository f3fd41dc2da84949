#include "report/table.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace assay {
namespace {

bool looks_numeric(const std::string& cell) {
  return cell.empty() || cell == "-" || cell.find_first_of("0123456789") == 0 ||
         (cell.size() > 1 && (cell[0] == '-' || cell[0] == '+') &&
          std::isdigit(static_cast<unsigned char>(cell[1])));
}

std::string pad(const std::string& text, size_t width, bool right) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return right ? space + text : text + space;
}

}  // namespace

size_t display_width(const std::string& text) noexcept {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void Table::add_row(std::vector<std::string> cells) {
  ASSAY_CHECK(cells.size() <= header_.size());
  cells.resize(header_.size());
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Table::column_widths() const {
  std::vector<size_t> widths;
  for (const std::string& title : header_) widths.push_back(display_width(title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  return widths;
}

std::vector<bool> Table::numeric_columns() const {
  std::vector<bool> numeric(header_.size(), true);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) numeric[i] = numeric[i] && looks_numeric(row[i]);
  }
  return numeric;
}

std::string Table::to_text() const {
  const std::vector<size_t> widths = column_widths();
  const std::vector<bool> numeric = numeric_columns();
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i)
      line += (i > 0 ? "  " : "") + pad(cells[i], widths[i], numeric[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line(header_);
  std::vector<std::string> rule;
  for (const size_t width : widths) rule.emplace_back(width, '-');
  add_line(rule);
  for (const auto& row : rows_) add_line(row);
  return out;
}

std::string Table::to_markdown() const {
  const std::vector<bool> numeric = numeric_columns();
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    out += "|";
    for (const std::string& cell : cells) {
      out += " ";
      for (const char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
      out += " |";
    }
    out += "\n";
  };
  add_line(header_);
  out += "|";
  for (const bool right : numeric) out += right ? "---:|" : "---|";
  out += "\n";
  for (const auto& row : rows_) add_line(row);
  return out;
}

}  // namespace assay
