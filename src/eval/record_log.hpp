#pragma once
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

namespace assay {

/// Records that survive the process: JSON lines, each appended by one write and synced. A process killed at
/// any moment leaves at most one cut line at the end, which the next one removes. Safe to use from several
/// threads; a second process is refused while the first one lives.
class RecordLog {
 public:
  /// A log in memory alone.
  RecordLog() = default;
  /// Opens or makes the file. Throws Error when it is in use, cannot be written, or holds a line other than
  /// the last that is no JSON object.
  explicit RecordLog(const std::filesystem::path& path);
  ~RecordLog();
  RecordLog(const RecordLog&) = delete;
  RecordLog& operator=(const RecordLog&) = delete;

  /// The records the file held when it was opened.
  const std::vector<nlohmann::ordered_json>& earlier() const noexcept { return earlier_; }
  /// Throws Error when the disk is full.
  void append(const nlohmann::ordered_json& record);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::mutex mutex_;
  std::vector<nlohmann::ordered_json> earlier_;
};

/// The objects of a JSON-lines text, one between two \n. A last line without its \n counts as cut off and is
/// left out; `used` becomes the bytes of the whole lines. Throws Error naming `where` and the line.
std::vector<nlohmann::ordered_json> parse_records(std::string_view text, const std::string& where,
                                                  size_t& used);

}  // namespace assay
