#pragma once
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/encoder_model.hpp"
#include "io/csv.hpp"

namespace assay {

/// A text to work on, with what came with it.
struct TextRow {
  std::string text;
  std::optional<std::string> pair{};
  std::optional<std::string> label{};  ///< what people say the answer is
  nlohmann::ordered_json id{};         ///< the member "id" of a JSONL row; null elsewhere
  size_t line = 0;                     ///< where it stands in its file, from 1; 0 for --text
};

/// Rows whose results embed and classify hold at once: enough to sort them by length, few in memory.
constexpr size_t kRowsAtOnce = 4096;

/// The texts alone, as encoders take them.
std::vector<EncoderText> encoder_texts(std::span<const TextRow> rows);

/// How the lines of a file become texts.
enum class TextFormat : uint8_t { kLines, kJsonl, kCsv, kTsv };

/// Options by which embed and classify are given their texts.
struct TextInput {
  std::vector<std::string> texts;
  std::optional<std::string> pair;
  std::string file, format;
  std::string field = "text", pair_field, column, pair_column, label_field;
  bool may_lack_pair = false;  ///< rows without `pair_field` are single texts

  /// --text, --file, --input-format, --field, --column; with `classifies` also --pair, --pair-field,
  /// --pair-column and --label-field.
  void declare(CLI::App& command, bool classifies);
  /// The texts in order: those of --text, else of --file, else of stdin. Throws UsageError for options that
  /// contradict each other, Error with file and line for rows that cannot be read.
  std::vector<TextRow> read() const;

 private:
  void check_usage() const;
};

/// Rows of `bytes`, a file of this format that messages call `where`. Lines: every line is a text, empty ones
/// too. JSONL: one object a line, blank lines are passed over. CSV and TSV: the first row names the columns.
std::vector<TextRow> read_text_rows(std::string_view bytes, TextFormat format, const TextInput& input,
                                    const std::string& where);

}  // namespace assay
