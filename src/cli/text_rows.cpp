#include "cli/text_rows.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

using nlohmann::json;

/// Calls visit(line, number) for each line without its end (\n or \r\n).
template <typename Visit>
void for_each_line(std::string_view bytes, Visit visit) {
  for (size_t number = 1; !bytes.empty(); ++number) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    visit(line, number);
  }
}

std::string at_line(const std::string& where, size_t line) {
  return fmt::format("{}:{}", where, line);
}

/// A string, or a number as it is written (labels are often numbers).
std::optional<std::string> plain_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  return std::nullopt;
}

std::string member(const json& object, const std::string& name, const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end()) {
    std::string names;
    for (const auto& [key, value] : object.items()) names += (names.empty() ? "" : ", ") + key;
    throw Error({fmt::format("there is no field \"{}\"", name),
                 where,
                 {},
                 names.empty() ? "{}" : names,
                 "--field names the one that holds the text"});
  }
  const auto text = plain_text(*found);
  if (!text)
    throw Error({fmt::format("field \"{}\" is no text", name), where, "a string", found->type_name(), {}});
  return *text;
}

std::vector<TextRow> read_jsonl(std::string_view bytes, const TextInput& input, const std::string& where) {
  std::vector<TextRow> rows;
  for_each_line(bytes, [&](std::string_view line, size_t number) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) return;
    const std::string place = at_line(where, number);
    const json object = parse_json(line, place);
    if (!object.is_object()) throw Error({"not a JSON object", place, {}, object.type_name(), {}});
    TextRow& row = rows.emplace_back();
    row.line = number;
    row.text = member(object, input.field, place);
    if (!input.pair_field.empty() && (!input.may_lack_pair || object.contains(input.pair_field)))
      row.pair = member(object, input.pair_field, place);
    if (!input.label_field.empty()) row.label = member(object, input.label_field, place);
    if (const auto id = object.find("id"); id != object.end()) row.id = *id;
  });
  return rows;
}

/// Where a column stands: by its name in the first row, or by its number from 1.
size_t find_column(const std::vector<std::string>& names, const std::string& wanted,
                   const std::string& where) {
  if (const auto found = std::find(names.begin(), names.end(), wanted); found != names.end())
    return static_cast<size_t>(found - names.begin());
  const bool number =
      !wanted.empty() && wanted.size() < 6 && wanted.find_first_not_of("0123456789") == std::string::npos;
  if (const size_t index = number ? std::stoul(wanted) : 0; index >= 1 && index <= names.size())
    return index - 1;
  throw Error({fmt::format("there is no column \"{}\"", wanted),
               where,
               fmt::format("one of: {}", fmt::join(names, ", ")),
               {},
               {}});
}

std::vector<TextRow> read_table(std::string_view bytes, char separator, const TextInput& input,
                                const std::string& where) {
  const std::vector<CsvRecord> records = parse_csv(bytes, separator, where);
  if (records.empty())
    throw Error({"the table is empty", where, "a first row with the columns' names", {}, {}});
  constexpr size_t kNone = std::string::npos;
  const auto column = [&](const std::string& wanted) {
    return wanted.empty() ? kNone : find_column(records[0].cells, wanted, where);
  };
  const size_t text = column(input.column.empty() ? "text" : input.column);
  const size_t pair = column(input.pair_column), label = column(input.label_field);
  std::vector<TextRow> rows;
  for (size_t i = 1; i < records.size(); ++i) {
    const CsvRecord& record = records[i];
    if (record.cells.size() != records[0].cells.size())
      throw Error({"a row has another number of cells", at_line(where, record.line),
                   std::to_string(records[0].cells.size()), std::to_string(record.cells.size()),
                   "a text with separators must stand in quotes"});
    TextRow& row = rows.emplace_back();
    row.line = record.line;
    row.text = record.cells[text];
    if (pair != kNone) row.pair = record.cells[pair];
    if (label != kNone) row.label = record.cells[label];
  }
  return rows;
}

TextFormat format_of(const std::string& name, const std::string& file) {
  const std::string kind = name.empty() ? std::filesystem::path(file).extension().string() : "." + name;
  if (kind == ".jsonl" || kind == ".ndjson") return TextFormat::kJsonl;
  if (kind == ".csv") return TextFormat::kCsv;
  if (kind == ".tsv") return TextFormat::kTsv;
  if (kind == ".txt" || file.empty()) return TextFormat::kLines;
  throw UsageError({"the format does not follow from the file's name", file, ".txt, .jsonl, .csv or .tsv",
                    kind.empty() ? "no extension" : kind, "--input-format names it"});
}

}  // namespace

std::vector<EncoderText> encoder_texts(std::span<const TextRow> rows) {
  std::vector<EncoderText> texts;
  for (const TextRow& row : rows) texts.push_back({row.text, row.pair});
  return texts;
}

std::vector<TextRow> read_text_rows(std::string_view bytes, TextFormat format, const TextInput& input,
                                    const std::string& where) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (format == TextFormat::kJsonl) return read_jsonl(bytes, input, where);
  if (format == TextFormat::kCsv) return read_table(bytes, ',', input, where);
  if (format == TextFormat::kTsv) return read_table(bytes, '\t', input, where);
  std::vector<TextRow> rows;
  for_each_line(bytes, [&](std::string_view line, size_t number) {
    rows.push_back({.text = std::string(line), .line = number});
  });
  return rows;
}

void TextInput::declare(CLI::App& command, bool classifies) {
  command.add_option("--text", texts, "a text; may be given several times")->expected(1)->take_all();
  command.add_option("--file", file, "file of texts: .txt (one a line), .jsonl, .csv or .tsv; - is stdin");
  command.add_option("--input-format", format, "what --file or stdin holds, instead of what the name says")
      ->check(CLI::IsMember({"txt", "jsonl", "csv", "tsv"}));
  command.add_option("--field", field, "JSONL member that holds the text")->capture_default_str();
  command.add_option("--column", column, "CSV or TSV column that holds the text, by name or number (text)");
  if (!classifies) return;
  command.add_option("--pair", pair, "the second text of a pair, for --text");
  command.add_option("--pair-field", pair_field, "JSONL member that holds the second text");
  command.add_option("--pair-column", pair_column, "CSV or TSV column that holds the second text");
  command.add_option("--label-field", label_field,
                     "JSONL member or column with the true label; the accuracy is told at the end");
}

void TextInput::check_usage() const {
  if (!texts.empty() && !file.empty()) throw UsageError("give either --text or --file");
  if (pair && texts.size() != 1) throw UsageError("--pair belongs to exactly one --text");
  if (!texts.empty() && !label_field.empty()) throw UsageError("--label-field belongs to --file");
}

std::vector<TextRow> TextInput::read() const {
  check_usage();
  std::vector<TextRow> rows;
  for (const std::string& text : texts) rows.push_back({.text = text, .pair = pair});
  if (!rows.empty()) return rows;
  const bool from_stdin = file.empty() || file == "-";
  if (from_stdin && isatty(STDIN_FILENO) == 1)
    throw UsageError("nothing to read: give --text, --file, or texts on standard input");
  const std::string where = from_stdin ? "standard input" : file;
  const TextFormat kind = format_of(format, from_stdin ? "" : file);
  const std::string bytes =
      from_stdin ? std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>())
                 : read_text_file(expand_path(file), size_t{4} << 30);
  if (kind == TextFormat::kLines && !label_field.empty())
    throw UsageError("lines of text carry no labels: --label-field needs JSONL, CSV or TSV");
  rows = read_text_rows(bytes, kind, *this, where);
  if (rows.empty()) throw Error({"no texts", where, {}, "an empty file", {}});
  return rows;
}

}  // namespace assay
