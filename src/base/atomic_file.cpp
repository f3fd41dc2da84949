#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

/// The temporaries that exist now, so that an interrupted process can remove them, and the names they will
/// get.
struct OpenTemporaries {
  std::mutex mutex;
  std::map<fs::path, fs::path> paths;
};
OpenTemporaries& open_temporaries() {
  static OpenTemporaries temporaries;
  return temporaries;
}

void remember_temporary(const fs::path& path, const fs::path& final_name) {
  const std::lock_guard lock(open_temporaries().mutex);
  open_temporaries().paths.emplace(path, final_name);
}

/// `path` as people know it: inside a folder that is not finished yet, the name that folder will get.
fs::path name_for_people(const fs::path& path) {
  const std::lock_guard lock(open_temporaries().mutex);
  for (const auto& [temporary, final_name] : open_temporaries().paths)
    if (const fs::path inside = path.lexically_relative(temporary);
        !inside.empty() && *inside.begin() != "..")
      return final_name / inside;
  return path;
}

void forget_temporary(const fs::path& path) {
  const std::lock_guard lock(open_temporaries().mutex);
  open_temporaries().paths.erase(path);
}

std::string temporary_prefix(const fs::path& path) {
  return "." + path.filename().string() + ".part-";
}

/// Opens and locks a temporary, so that others can tell that its process lives, in whatever namespace or on
/// whatever host. -1 when it cannot be had.
int lock_temporary(const fs::path& path, int flags) {
  const int descriptor = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (descriptor < 0 || flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  close(descriptor);
  return -1;
}

/// Removes what a killed process left beside `path`: temporaries of its name that nobody holds locked.
void remove_stale_siblings(const fs::path& path) {
  const std::string prefix = temporary_prefix(path);
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path.parent_path(), error)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    const int descriptor = lock_temporary(entry.path(), O_RDONLY);
    if (descriptor < 0) continue;
    std::error_code ignored;
    fs::remove_all(entry.path(), ignored);
    close(descriptor);
  }
}

/// A name beside `path` that no other process uses.
fs::path temporary_sibling(const fs::path& path) {
  static std::atomic<int> counter{0};
  remove_stale_siblings(path);
  return path.parent_path() /
         (temporary_prefix(path) + std::to_string(getpid()) + "-" + std::to_string(counter.fetch_add(1)));
}

void sync_folder(const fs::path& folder) {
  const int descriptor = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
}

/// What replaces a file must not replace a device or a folder, nor a folder's successor a file.
void refuse_other_kind(const fs::path& path, fs::file_type wanted) {
  const fs::file_type found = fs::status(path).type();
  if (found == wanted || found == fs::file_type::not_found) return;
  const char* kind = found == fs::file_type::directory ? "a folder" : "no folder and no regular file";
  throw Error({"cannot be replaced",
               path.string(),
               wanted == fs::file_type::directory ? "a folder" : "a regular file",
               found == fs::file_type::regular ? "a file" : kind,
               {}});
}

void refuse_existing(const fs::path& path, bool overwrite) {
  // An empty file, as mktemp leaves it, has nothing to lose.
  std::error_code error;
  if (fs::is_regular_file(fs::symlink_status(path, error)) && fs::file_size(path, error) == 0) return;
  if (!overwrite && fs::exists(fs::symlink_status(path)))
    throw Error({"already exists", path.string(), {}, {}, "pass --overwrite to replace it"});
}

/// Absolute and without a trailing slash, so that the parent folder and the last name are well defined.
fs::path normalized(const fs::path& path) {
  fs::path absolute = fs::absolute(path).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

void make_parent_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw Error({"cannot make the folder", path.parent_path().string(), {}, error.message(), {}});
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path, bool overwrite) : path_(normalized(path)) {
  refuse_existing(path_, overwrite);
  refuse_other_kind(path_, fs::file_type::regular);
  make_parent_folder(path_);
  temporary_ = temporary_sibling(path_);
  descriptor_ = lock_temporary(temporary_, O_WRONLY | O_CREAT | O_EXCL);
  if (descriptor_ < 0)
    throw Error({"cannot write into the folder", path_.parent_path().string(), {}, errno_text(), {}});
  remember_temporary(temporary_, path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (temporary_.empty()) return;
  unlink(temporary_.c_str());
  forget_temporary(temporary_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  ASSAY_CHECK(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      throw Error({"cannot write",
                   name_for_people(path_).string(),
                   {},
                   errno_text(),
                   errno == ENOSPC ? "the disk is full" : ""});
    size_ += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::pad(uint64_t alignment) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  uint64_t missing = (alignment - size_ % alignment) % alignment;
  while (missing > 0) {
    const uint64_t part = std::min<uint64_t>(missing, kZeros.size());
    write(std::span(kZeros).first(part));
    missing -= part;
  }
}

void AtomicFile::commit() {
  ASSAY_CHECK(descriptor_ >= 0);
  const bool flushed = fsync(descriptor_) == 0;
  const bool closed = close(std::exchange(descriptor_, -1)) == 0;
  if (!flushed || !closed)
    throw Error({"cannot flush to disk", name_for_people(path_).string(), {}, errno_text(), {}});
  if (rename(temporary_.c_str(), path_.c_str()) != 0)
    throw Error({"cannot rename the finished file", name_for_people(path_).string(), {}, errno_text(), {}});
  forget_temporary(temporary_);
  temporary_.clear();
  sync_folder(path_.parent_path());
}

AtomicDirectory::AtomicDirectory(const fs::path& path, bool overwrite) : path_(normalized(path)) {
  refuse_existing(path_, overwrite);
  refuse_other_kind(path_, fs::file_type::directory);
  make_parent_folder(path_);
  staging_ = temporary_sibling(path_);
  std::error_code error;
  if (!fs::create_directory(staging_, error))
    throw Error({"cannot write into the folder", path_.parent_path().string(), {}, error.message(), {}});
  descriptor_ = lock_temporary(staging_, O_RDONLY | O_DIRECTORY);
  remember_temporary(staging_, path_);
}

AtomicDirectory::~AtomicDirectory() {
  if (descriptor_ >= 0) close(descriptor_);
  std::error_code ignored;
  if (staging_.empty()) return;
  fs::remove_all(staging_, ignored);
  forget_temporary(staging_);
}

void AtomicDirectory::commit() {
  sync_folder(staging_);
  std::error_code error;
  // Where the file system can swap two names there is no moment at which the old folder has none.
  if (renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
    sync_folder(path_.parent_path());
    fs::remove_all(staging_, error);
    forget_temporary(staging_);
    staging_.clear();
    return;
  }
  fs::path aside;
  if (fs::exists(fs::symlink_status(path_))) {
    aside = path_.parent_path() / ("." + path_.filename().string() + ".old-" + std::to_string(getpid()));
    fs::rename(path_, aside, error);
    if (error) throw Error({"cannot move the old folder aside", path_.string(), {}, error.message(), {}});
  }
  fs::rename(staging_, path_, error);
  if (error) {
    std::error_code restored;
    if (!aside.empty()) fs::rename(aside, path_, restored);
    throw Error({"cannot rename the finished folder", path_.string(), {}, error.message(), {}});
  }
  forget_temporary(staging_);
  staging_.clear();
  sync_folder(path_.parent_path());
  if (!aside.empty()) fs::remove_all(aside, error);
}

void remove_temporaries() noexcept {
  const std::lock_guard lock(open_temporaries().mutex);
  std::error_code ignored;
  for (const auto& [path, final_name] : open_temporaries().paths) fs::remove_all(path, ignored);
  open_temporaries().paths.clear();
}

void require_free_space(const fs::path& folder, uint64_t bytes) {
  fs::path existing = normalized(folder);
  while (!existing.empty() && !fs::exists(existing) && existing.has_relative_path())
    existing = existing.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(existing, error);
  if (!error && space.available < bytes)
    throw Error({"not enough free space on the disk",
                 folder.string(),
                 std::to_string(bytes) + " bytes",
                 std::to_string(space.available) + " bytes",
                 {}});
}

}  // namespace assay
