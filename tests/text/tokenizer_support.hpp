#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/test_data.hpp"
#include "text/tokenizer.hpp"

namespace assay::test {

using Ids = std::vector<TokenId>;

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// The tokenizer of a folder that holds nothing but these files.
inline Tokenizer load_files(const std::vector<std::pair<std::string, std::string>>& files) {
  const TemporaryFolder folder;
  for (const auto& [name, text] : files) write_file(folder / name, text);
  return Tokenizer::from_directory(folder.path());
}

inline Tokenizer load_json(const nlohmann::json& json) {
  return load_files({{"tokenizer.json", json.dump()}});
}

/// What the stream says about `ids`, piece by piece.
inline std::string decode_stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special = true) {
  StreamDecoder stream(tokenizer, skip_special);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.flush();
}

/// Text encoded without special tokens around it.
inline Ids encode_plain(const Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.encode(text, {.add_special = false, .parse_special = true});
}

inline std::vector<std::string> split_text(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t at; (at = text.find(separator, start)) != std::string::npos; start = at + separator.size())
    parts.push_back(text.substr(start, at - start));
  parts.push_back(text.substr(start));
  return parts;
}

/// Lines of space-separated ids, as llama.cpp's .out files hold them; an empty line is an empty text.
inline std::vector<Ids> read_id_lines(const std::filesystem::path& path) {
  std::vector<Ids> lines;
  for (const std::string& line : split_text(read_file(path), "\n")) {
    std::istringstream numbers(line);
    Ids& ids = lines.emplace_back();
    for (TokenId id; numbers >> id;) ids.push_back(id);
  }
  return lines;
}

}  // namespace assay::test
