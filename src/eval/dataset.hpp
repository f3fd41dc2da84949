#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// One row of a data set as its file has it: an object; cells of a table are strings.
struct DatasetRow {
  nlohmann::json fields;
  std::string where;  ///< "file.jsonl:7", "file.json[6]": for messages
};

/// Rows of a file, by its extension: .jsonl and .ndjson (one object between two \n, so that U+2028 inside a
/// text ends nothing), .csv and .tsv (the first row names the columns), .json: an array of objects or of
/// texts (then {"prompt": text}), an object whose arrays hold them ("prompts", "results" and the like), or
/// lines as in JSONL. Throws Error naming file and row for anything else.
std::vector<DatasetRow> read_dataset(const std::filesystem::path& path);

/// The same of a file's bytes; `path` gives the extension and the name in messages.
std::vector<DatasetRow> parse_dataset(std::string_view bytes, const std::filesystem::path& path);

/// Text of a member: strings as they are, whole numbers and truth values as written. Empty where the member
/// is absent or null. Throws Error for another type.
std::string text_member(const DatasetRow& row, const std::string& name);

}  // namespace assay
