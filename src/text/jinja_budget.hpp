#pragma once
#include <cstdint>
#include <exception>
#include <string>

namespace assay::jinja {

/// Bounds on what a template may cost. The defaults leave real templates (a thousand messages, a million
/// tokens) far from every bound and stop a hostile one within a few seconds.
struct Limits {
  uint64_t steps = 10'000'000;  ///< evaluated nodes, visited items, and one per 16 bytes of text made
  uint64_t text_bytes = uint64_t{64} << 20;  ///< one string, and the whole output
  int depth = 1000;                          ///< nested evaluation: expressions, statements, macro calls
};
/// Containers within containers; also the nesting of the values given to render().
inline constexpr int kMaxValueDepth = 200;
/// Nesting of a template's own source: blocks, parentheses, and chains of operators.
inline constexpr int kMaxSourceDepth = 200;
/// The largest range(); Jinja2's sandbox has the same.
inline constexpr int64_t kMaxRange = 100000;

/// A template's fault while it is compiled or rendered; ChatTemplate makes an Error of it.
struct Failure : std::exception {
  explicit Failure(std::string text, int at_line = 0) : message(std::move(text)), line(at_line) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
  int line = 0;         ///< 0: not known where it was thrown
  bool raised = false;  ///< by the template's own raise_exception()
};
[[noreturn]] void fail(std::string message);

/// Counts what a rendering costs. Every method throws Failure, naming the bound, once it is exceeded.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}
  void spend(uint64_t steps = 1) {
    spent_ += steps;
    if (spent_ > limits_.steps) fail_steps();
  }
  /// Call before a text of this size is made.
  void spend_text(uint64_t bytes) {
    if (bytes > limits_.text_bytes) fail_text();
    spend(bytes / 16);
  }
  void enter() {
    if (++depth_ > limits_.depth) fail_depth();
  }
  void leave() noexcept { --depth_; }
  const Limits& limits() const noexcept { return limits_; }

 private:
  [[noreturn]] void fail_steps() const;
  [[noreturn]] void fail_text() const;
  [[noreturn]] void fail_depth() const;
  Limits limits_;
  uint64_t spent_ = 0;
  int depth_ = 0;
};

/// One level of nested evaluation.
class DepthGuard {
 public:
  explicit DepthGuard(Budget& budget) : budget_(budget) {
    try {
      budget_.enter();
    } catch (...) {
      budget_.leave();
      throw;
    }
  }
  ~DepthGuard() { budget_.leave(); }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Budget& budget_;
};

}  // namespace assay::jinja
