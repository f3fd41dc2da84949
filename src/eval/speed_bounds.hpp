#pragma once
#include <span>
#include <string>
#include <vector>

namespace assay {

/// What one file reached, beside what the machine can do at most.
struct SpeedFigures {
  std::string name;              ///< as it stands in a sentence: "Q4_K", or a file's name
  double decode_rate = 0.0;      ///< tokens per second
  double bytes_per_token = 0.0;  ///< that decoding reads
  double bandwidth_share = 0.0;  ///< of the machine's read bandwidth, reached by decode; 0: not measured
  double int8_share = 0.0;       ///< of its int8 multiply-adds, reached by prefill; 0: no integer products
};

/// From this share on a test counts as held by the bound: what is left then is less than any change of the
/// arithmetic would be seen by.
inline constexpr double kBoundShare = 0.8;

/// Fewer bytes than these lie in caches, and what is read faster than the memory gives does so too.
inline constexpr double kCachedBytes = 64e6, kMostShare = 1.1;

/// A sentence for each bound that the figures show to be reached, and none for one that they do not:
/// bandwidth while decoding, multiply-adds in prefill. Where several files decode at the bandwidth, each one
/// beside the one that reads most: "decode is bandwidth-bound: Q4_K reads 0.53 of Q8_0's bytes, expected
/// 1.89x, measured 1.83x".
std::vector<std::string> explain_bounds(std::span<const SpeedFigures> figures);

}  // namespace assay
