#include "base/memory.hpp"

#include <fmt/format.h>

#include <fstream>

namespace assay {
namespace {

/// A field of /proc/self/status in bytes; 0 where the system has no such file or field.
uint64_t status_field(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size())) * 1024;
  }
  return 0;
}

}  // namespace

uint64_t peak_rss_bytes() {
  return status_field("VmHWM:");
}
uint64_t anonymous_rss_bytes() {
  return status_field("RssAnon:") + status_field("RssShmem:");
}

std::string format_count(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

std::string format_bytes(uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return fmt::format("{} B = {:.3f} GB = {:.3f} GiB", format_count(bytes), value / 1e9, value / 0x1p30);
}

}  // namespace assay
