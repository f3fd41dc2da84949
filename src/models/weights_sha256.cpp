#include "models/weights_sha256.hpp"

#include "base/sha256.hpp"

namespace assay {

std::string weights_sha256(const ModelFile& file) {
  const std::vector<std::filesystem::path> files = file.files();
  if (files.size() == 1) return sha256_of_file(files.front());
  std::string lines;
  for (const std::filesystem::path& path : files)
    lines += sha256_of_file(path) + "  " + path.filename().string() + "\n";
  return sha256_of(std::as_bytes(std::span(lines)));
}

}  // namespace assay
