#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

/// Files built byte by byte, so that a test can lie in any field of them.
namespace assay::test {

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.good()) << path;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// The line of the Error that `action` throws; "no error" when it throws none.
template <typename Action>
std::string error_line(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Every part must stand in the line, which must be one line.
inline void expect_told(const std::string& line, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(line.find(part), line.npos) << "\"" << part << "\" is not in: " << line;
  }
  EXPECT_EQ(line.find('\n'), line.npos);
}

inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return raw(uint64_t{header.size()}) + std::string(header) + std::string(data);
}

/// A GGUF file in the making. The counts are those of what was added unless a test sets them.
class RawGguf {
 public:
  uint32_t version = 3;
  uint64_t extra_entries = 0;  ///< claimed beyond those that are there
  uint64_t extra_tensors = 0;
  size_t alignment = 32;
  std::string data;  ///< tensor bytes, as they follow the padding

  static std::string text(std::string_view value) { return raw(uint64_t{value.size()}) + std::string(value); }

  RawGguf& entry(std::string_view key, uint32_t type, std::string_view value) {
    entries_ += text(key) + raw(type) + std::string(value);
    ++n_entries_;
    return *this;
  }
  RawGguf& tensor(std::string_view name, const std::vector<int64_t>& dims, uint32_t kind, uint64_t offset) {
    infos_ += text(name) + raw(static_cast<uint32_t>(dims.size()));
    for (const int64_t dim : dims) infos_ += raw(dim);
    infos_ += raw(kind) + raw(offset);
    ++n_tensors_;
    return *this;
  }
  std::string bytes() const {
    std::string out = "GGUF" + raw(version) + raw(n_tensors_ + extra_tensors) +
                      raw(n_entries_ + extra_entries) + entries_ + infos_;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data;
  }

 private:
  std::string entries_, infos_;
  uint64_t n_entries_ = 0, n_tensors_ = 0;
};

}  // namespace assay::test
