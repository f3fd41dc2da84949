#include "base/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace assay {
namespace {

/// A field of /proc/self/status or /proc/meminfo in bytes; 0 where the system has no such file or field.
uint64_t memory_field(const char* path, const std::string& name) {
  std::ifstream status(path);
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size())) * 1024;
  }
  return 0;
}
uint64_t status_field(const std::string& name) {
  return memory_field("/proc/self/status", name);
}

/// memory.max or memory.current of the control group this process sees at the root (a container's own); 0
/// without one, and for "max", which is no limit.
uint64_t group_limit(const std::string& name) {
  std::ifstream file("/sys/fs/cgroup/memory." + name);
  uint64_t bytes = 0;
  return file >> bytes ? bytes : 0;
}
uint64_t memory_stat(const std::string& name) {
  std::ifstream file("/sys/fs/cgroup/memory.stat");
  std::string key;
  for (uint64_t value = 0; file >> key >> value;)
    if (key == name) return value;
  return 0;
}

}  // namespace

uint64_t peak_rss_bytes() {
  return status_field("VmHWM:");
}
uint64_t anonymous_rss_bytes() {
  return status_field("RssAnon:") + status_field("RssShmem:");
}

uint64_t total_memory_bytes() {
  const uint64_t machine = memory_field("/proc/meminfo", "MemTotal:"), group = group_limit("max");
  return group == 0 ? machine : std::min(machine, group);
}

uint64_t available_memory_bytes() {
  const uint64_t machine = memory_field("/proc/meminfo", "MemAvailable:"), limit = group_limit("max");
  if (limit == 0) return machine;
  // Pages of files count as the group's own until they are needed for something else.
  const uint64_t held = group_limit("current"), cached = memory_stat("inactive_file");
  const uint64_t used = held - std::min(held, cached);
  return std::min(machine, limit - std::min(limit, used));
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
