#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

/// This machine's read bandwidth in bytes per second with so many threads: the best of several sweeps over a
/// buffer larger than its last-level cache (384 MiB at least; less only where memory is short).
double measure_read_bandwidth(int threads);

/// Multiply-adds of bytes that `threads` threads together complete in a second on registers alone, by the
/// products of the table `isa`; 0 where there is no such loop ("scalar"). Best of several rounds, 0.1 s in
/// all.
double measure_integer_peak(std::string_view isa, int threads);

/// The processor's name, from /proc/cpuinfo; "unknown" where there is none.
std::string processor_name();

/// Bytes of the largest cache, 0 where the system does not tell.
uint64_t last_level_cache_bytes();

}  // namespace assay
