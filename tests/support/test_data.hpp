#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace assay::test {

/// Files by others that the tests agree with: $ASSAY_DATA, or shared/data beside the repository.
inline std::filesystem::path data_folder() {
  if (const char* folder = std::getenv("ASSAY_DATA")) return folder;
  return std::filesystem::path(ASSAY_SOURCE_DIR) / ".." / "shared" / "data";
}

/// A file that the repository itself carries.
inline std::filesystem::path source_file(const std::string& relative) {
  return std::filesystem::path(ASSAY_SOURCE_DIR) / relative;
}

/// A fresh folder below the system's temporary one, removed with its content at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "assay-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace assay::test

/// Names the file and skips the test, visibly, where the data of others is absent.
#define ASSAY_NEED_DATA(variable, relative)                                         \
  const std::filesystem::path variable = ::assay::test::data_folder() / (relative); \
  if (!std::filesystem::exists(variable))                                           \
  GTEST_SKIP() << "needs test data " << (relative) << " (set ASSAY_DATA)"
