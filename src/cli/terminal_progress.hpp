#pragma once
#include <chrono>
#include <string>

#include "base/progress.hpp"

namespace assay {

/// Draws progress on stderr: a bar with rate and time left on a terminal, a plain line every few seconds and
/// at the end of a stage elsewhere.
class TerminalProgress final : public Progress {
 public:
  TerminalProgress();
  ~TerminalProgress() override;
  void begin(std::string_view stage, uint64_t total, std::string_view unit) override;
  void advance(uint64_t units) override;
  void end() override;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(bool last);
  std::string describe() const;

  bool terminal_;
  bool running_ = false;
  std::string stage_, unit_;
  uint64_t total_ = 0, done_ = 0;
  Clock::time_point start_, drawn_;
};

}  // namespace assay
