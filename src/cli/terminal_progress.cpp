#include "cli/terminal_progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace assay {
namespace {

/// 1234567 bytes as "1.2 MB", other units as "1,234 tokens" are left plain: "1.2k".
std::string short_amount(double amount, const std::string& unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  size_t prefix = 0;
  while (amount >= 1000.0 && prefix + 1 < std::size(kPrefixes)) {
    amount /= 1000.0;
    ++prefix;
  }
  const int decimals = prefix == 0 ? 0 : 1;
  return fmt::format("{:.{}f} {}{}", amount, decimals, kPrefixes[prefix], unit);
}

std::string short_time(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                       : fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

TerminalProgress::TerminalProgress() : terminal_(isatty(STDERR_FILENO) == 1) {}

TerminalProgress::~TerminalProgress() {
  if (running_ && terminal_) std::fputs("\n", stderr);
}

void TerminalProgress::begin(std::string_view stage, uint64_t total, std::string_view unit) {
  stage_ = stage;
  unit_ = unit;
  total_ = total;
  done_ = 0;
  running_ = true;
  start_ = drawn_ = Clock::now();
  if (terminal_) draw(false);
}

void TerminalProgress::advance(uint64_t units) {
  done_ += units;
  const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  if (Clock::now() - drawn_ >= interval) draw(false);
}

void TerminalProgress::end() {
  if (running_) draw(true);
  running_ = false;
}

std::string TerminalProgress::describe() const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double share =
      total_ > 0 ? std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)) : 1.0;
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0.0;
  const std::string left = rate > 0 && done_ < total_
                               ? ", " + short_time(static_cast<double>(total_ - done_) / rate) + " left"
                               : ", " + short_time(elapsed);
  return fmt::format("{:3.0f} %  {}/s{}", share * 100, short_amount(rate, unit_), left);
}

void TerminalProgress::draw(bool last) {
  drawn_ = Clock::now();
  if (!terminal_) {
    fmt::print(stderr, "{}: {}\n", stage_, describe());
    return;
  }
  constexpr size_t kWidth = 24;
  const size_t filled = total_ > 0 ? static_cast<size_t>(std::min(done_, total_) * kWidth / total_) : kWidth;
  std::string bar;
  for (size_t i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
  fmt::print(stderr, "\r\033[K{:<28.28} {} {}{}", stage_, bar, describe(), last ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace assay
