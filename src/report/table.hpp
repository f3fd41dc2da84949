#pragma once
#include <string>
#include <vector>

namespace assay {

/// A table for people: a header and rows of text. Columns that hold only numbers align right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  /// A row shorter than the header is padded with empty cells; a longer one is a programmer's fault.
  void add_row(std::vector<std::string> cells);
  /// Lines of aligned columns with a rule under the header, for a terminal.
  std::string to_text() const;
  /// A GitHub-flavoured Markdown table; pipes in cells are escaped.
  std::string to_markdown() const;

 private:
  std::vector<size_t> column_widths() const;
  std::vector<bool> numeric_columns() const;

  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

/// Display width of UTF-8 text in terminal columns: code points, which suits the letters and signs used here.
size_t display_width(const std::string& text) noexcept;

}  // namespace assay
