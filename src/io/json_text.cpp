#include "io/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/file_kind.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

using nlohmann::json;

/// Watches a parse: bounds the depth and remembers the members of every open object.
class ParseGuard {
 public:
  ParseGuard(const std::string& where, DuplicateMembers duplicates)
      : where_(where), duplicates_(duplicates) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxJsonDepth) {
      throw Error(Fault{"JSON is nested too deeply",
                        where_,
                        fmt::format("at most {} levels", kMaxJsonDepth),
                        {},
                        "corrupt or hostile file?"});
    }
    if (duplicates_ == DuplicateMembers::kLastWins) return true;
    if (event == json::parse_event_t::object_start) open_.emplace_back();
    if (event == json::parse_event_t::object_end) open_.pop_back();
    if (event == json::parse_event_t::key) note_member(parsed.get_ref<const std::string&>());
    return true;
  }

 private:
  void note_member(const std::string& name) {
    if (open_.back().insert(name).second) return;
    throw Error(Fault{fmt::format("{} is named twice", quote_name(name)), where_, {}, {}, {}});
  }

  const std::string& where_;
  DuplicateMembers duplicates_;
  std::vector<std::set<std::string>> open_;
};

std::string describe_position(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte == 0 ? 0 : byte - 1, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  const size_t column = before.size() - (start == before.npos ? 0 : start + 1) + 1;
  return fmt::format("line {}, column {}", line, column);
}

}  // namespace

json parse_json(std::string_view text, const std::string& where, DuplicateMembers duplicates) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  try {
    return json::parse(text.begin(), text.end(), ParseGuard(where, duplicates));
  } catch (const json::parse_error& error) {
    const bool cut = error.byte > text.size();
    throw Error(Fault{"not valid JSON",
                      where,
                      {},
                      "an error at " + describe_position(text, error.byte),
                      cut ? "the text ends too early: incomplete download?" : ""});
  } catch (const json::exception& error) {
    throw Error(Fault{fmt::format("not valid JSON: {}", error.what()), where, {}, {}, {}});
  }
}

json read_json_file(const std::filesystem::path& path, size_t max_bytes, DuplicateMembers duplicates) {
  const std::string text = read_text_file(path, max_bytes);
  const auto bytes = std::as_bytes(std::span(text));
  const FileKind kind = detect_file_kind(bytes);
  if (kind != FileKind::kJson && kind != FileKind::kUnknown)
    fail_wrong_file(bytes, FileKind::kJson, path.string());
  return parse_json(text, path.string(), duplicates);
}

}  // namespace assay
