#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace assay {

/// What to do with an object that names a member twice.
enum class DuplicateMembers : bool { kRefuse, kLastWins };

/// Deepest nesting read; config files and headers need under ten levels.
inline constexpr int kMaxJsonDepth = 64;

/// Parses one JSON text, with or without a UTF-8 byte order mark. Throws Error naming `where`, the line and
/// the column; nesting beyond kMaxJsonDepth and ill-formed UTF-8 are refused.
nlohmann::json parse_json(std::string_view text, const std::string& where,
                          DuplicateMembers duplicates = DuplicateMembers::kLastWins);

/// Parses a JSON file of at most `max_bytes`. Throws Error with position and likely cause (Git LFS pointer,
/// web page, empty file, …).
nlohmann::json read_json_file(const std::filesystem::path& path, size_t max_bytes = size_t{256} << 20,
                              DuplicateMembers duplicates = DuplicateMembers::kLastWins);

}  // namespace assay
