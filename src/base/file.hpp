#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace assay {

/// A whole file mapped read-only. The bytes stay valid while the object lives and are paged in on demand.
class MappedFile {
 public:
  /// Throws Error when the file is missing, unreadable or not a regular file. An empty file maps to an
  /// empty span.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const std::filesystem::path& path() const noexcept { return path_; }
  /// Tells the kernel that this range will not be needed again soon, so that a conversion's resident
  /// memory stays flat. `range` must lie inside bytes(). Affects speed only.
  void release(std::span<const std::byte> range) const noexcept;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Reads a text file. Throws Error when it is missing or larger than `max_bytes`.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes = size_t{256} << 20);

/// Expands a leading `~` and every `$VAR` / `${VAR}`. An unset variable throws Error.
std::filesystem::path expand_path(std::string_view path);

/// A file that appears under its final name complete or not at all: bytes go to a temporary sibling, which
/// commit() flushes to disk and renames. Without commit() the destructor removes the temporary.
class AtomicFile {
 public:
  /// Throws Error when `path` exists, is not empty and `overwrite` is false, or the folder cannot be written.
  AtomicFile(const std::filesystem::path& path, bool overwrite);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends. Throws Error when the disk is full or the write fails.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Appends zero bytes until size() is a multiple of `alignment`.
  void pad(uint64_t alignment);
  uint64_t size() const noexcept { return size_; }
  /// Flushes, syncs, renames onto the final name and syncs the folder.
  void commit();
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// A folder that appears under its final name complete or not at all. Files are made below staging().
/// With `overwrite`, commit() swaps the two names, where the file system can, and removes the old folder;
/// elsewhere it moves the old one aside (".NAME.old-PID", never swept) until the new one stands.
class AtomicDirectory {
 public:
  AtomicDirectory(const std::filesystem::path& path, bool overwrite);
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();

  const std::filesystem::path& staging() const noexcept { return staging_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path staging_;
  int descriptor_ = -1;  ///< holds the lock that says this process lives
};

/// Removes every temporary that an AtomicFile or AtomicDirectory of this process still holds. For a process
/// that is about to end early; safe to call from any thread.
void remove_temporaries() noexcept;

/// Throws Error before work starts when the disk that holds `folder` has less than `bytes` free.
void require_free_space(const std::filesystem::path& folder, uint64_t bytes);

}  // namespace assay
