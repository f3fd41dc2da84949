#pragma once
#include <cstdint>
#include <string>

namespace assay {

/// Largest resident set of this process so far, in bytes (VmHWM).
uint64_t peak_rss_bytes();
/// The present resident set without pages of mapped files (RssAnon + RssShmem): what the process itself
/// holds.
uint64_t anonymous_rss_bytes();

/// Memory of this machine, or of the container this process runs in where that has less; 0 where the system
/// does not tell.
uint64_t total_memory_bytes();
/// What of it a process may take now without pushing others out; pages of files that nothing needs count as
/// free. 0 where the system does not tell.
uint64_t available_memory_bytes();

/// "1,807,423,488 B = 1.807 GB = 1.683 GiB": the three ways people write sizes, never mixed up.
std::string format_bytes(uint64_t bytes);
/// "1,807,423,488"
std::string format_count(uint64_t count);

}  // namespace assay
