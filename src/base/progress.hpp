#pragma once
#include <cstdint>
#include <string_view>

namespace assay {

/// Where long work reports how far it is. The library never prints; the command line draws a bar.
class Progress {
 public:
  virtual ~Progress() = default;
  /// Starts a stage of `total` units ("B", "tensor", "token"). Stages do not nest.
  virtual void begin(std::string_view stage, uint64_t total, std::string_view unit) = 0;
  virtual void advance(uint64_t units) = 0;
  virtual void end() = 0;
};

/// A Progress that ignores everything.
Progress& silent_progress() noexcept;

}  // namespace assay
