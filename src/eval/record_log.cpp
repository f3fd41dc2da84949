#include "eval/record_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/file.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

void require(bool done, const char* what, const std::filesystem::path& path) {
  if (!done) throw Error({what, path.string(), {}, errno_text(), {}});
}

void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    require(written > 0, "cannot append", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::vector<Json> parse_records(std::string_view text, const std::string& where, size_t& used) {
  std::vector<Json> records;
  used = 0;
  for (size_t line = 1; used < text.size(); ++line) {
    const size_t end = text.find('\n', used);
    if (end == std::string_view::npos) break;
    const std::string_view row = text.substr(used, end - used);
    Json record = Json::parse(row, nullptr, false);
    if (!record.is_object())
      throw Error({"a record cannot be read", fmt::format("{}:{}", where, line), "a JSON object",
                   std::string(row.substr(0, 80)), "edited by hand, or written by something else?"});
    records.push_back(std::move(record));
    used = end + 1;
  }
  return records;
}

RecordLog::RecordLog(const std::filesystem::path& path) : path_(path) {
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
  descriptor_ = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  require(descriptor_ >= 0, "cannot be opened", path);
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0)
      throw Error(
          {"in use by another process", path.string(), {}, {}, "is the same evaluation still running?"});
    const std::string text = read_text_file(path, size_t{4} << 30);
    size_t used = 0;
    earlier_ = parse_records(text, path.string(), used);
    if (used < text.size())
      require(ftruncate(descriptor_, static_cast<off_t>(used)) == 0, "cannot be mended", path);
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

RecordLog::~RecordLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void RecordLog::append(const Json& record) {
  if (descriptor_ < 0) return;
  const std::string line = record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const std::lock_guard lock(mutex_);
  write_all(descriptor_, line, path_);
  require(fdatasync(descriptor_) == 0, "cannot be synced", path_);
}

}  // namespace assay
