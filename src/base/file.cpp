#include "base/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/error.hpp"

namespace assay {
namespace fs = std::filesystem;

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Error({"cannot open the file", path.string(), {}, errno_text(), {}});
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    throw Error({"not a regular file", path.string(), {}, {}, {}});
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* address = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
      const std::string reason = errno_text();
      close(descriptor);
      throw Error({"cannot map the file", path.string(), {}, reason, {}});
    }
    data_ = static_cast<const std::byte*>(address);
  }
  close(descriptor);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> range) const noexcept {
  if (data_ == nullptr || range.empty()) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(range.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(range.data() + range.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string read_text_file(const fs::path& path, size_t max_bytes) {
  std::error_code error;
  if (fs::is_directory(path, error)) throw Error({"is a folder, not a file", path.string(), {}, {}, {}});
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Error({"cannot open the file", path.string(), {}, errno_text(), {}});
  std::string text;
  std::array<char, 1 << 16> chunk;
  while (stream.read(chunk.data(), chunk.size()), stream.gcount() > 0) {
    text.append(chunk.data(), static_cast<size_t>(stream.gcount()));
    if (text.size() > max_bytes)
      throw Error({"the file is too large",
                   path.string(),
                   "at most " + std::to_string(max_bytes) + " bytes",
                   {},
                   {}});
  }
  return text;
}

fs::path expand_path(std::string_view path) {
  const auto variable = [&](const std::string& name) -> std::string {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr)
      throw Error({"the variable $" + name + " is not set", std::string(path), {}, {}, {}});
    return value;
  };
  std::string out;
  size_t i = 0;
  if (path == "~" || path.starts_with("~/")) {
    out = variable("HOME");
    i = 1;
  }
  while (i < path.size()) {
    if (path[i] != '$') {
      out += path[i++];
      continue;
    }
    const bool braced = i + 1 < path.size() && path[i + 1] == '{';
    const size_t start = i + (braced ? 2 : 1);
    size_t end = start;
    while (end < path.size() && (std::isalnum(static_cast<unsigned char>(path[end])) || path[end] == '_'))
      ++end;
    const bool closed = !braced || (end < path.size() && path[end] == '}');
    if (end == start || !closed) {
      out += path[i++];
      continue;
    }
    out += variable(std::string(path.substr(start, end - start)));
    i = end + (braced ? 1 : 0);
  }
  return out;
}

}  // namespace assay
