#pragma once
#include <stdexcept>
#include <string>

namespace assay {

/// What went wrong, told so that the reader can act on it. Empty fields are left out of the sentence.
struct Fault {
  std::string what;      ///< the failure in a few words: "tensor data is cut off"
  std::string where;     ///< file, tensor or key: "model.safetensors: model.norm.weight"
  std::string expected;  ///< what should have been there
  std::string found;     ///< what was there
  std::string cause;     ///< the likely cause: "incomplete download?"
};

/// The one exception for faults of the user or of a file. what() is a single line:
/// "where: what: expected E, found F (cause)".
class Error : public std::runtime_error {
 public:
  explicit Error(Fault fault);
  explicit Error(const std::string& what) : Error(Fault{what, {}, {}, {}, {}}) {}
  const Fault& fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

/// Wrong usage of a verb or an option: the binary prints the line and exits 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// What the last failed system call says of itself: "No space left on device".
std::string errno_text();

/// Throws std::logic_error: a fault of the programmer, never of the input.
[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace assay

/// States what the code relies on; failing is a bug in assay, whatever the input was.
#define ASSAY_CHECK(condition) ((condition) ? void() : ::assay::fail_check(#condition, __FILE__, __LINE__))
