#include "base/error.hpp"

#include <cerrno>
#include <cstring>

namespace assay {
namespace {

std::string format_fault(const Fault& fault) {
  std::string line;
  if (!fault.where.empty()) line += fault.where + ": ";
  line += fault.what;
  if (!fault.expected.empty()) line += ": expected " + fault.expected;
  if (!fault.found.empty()) line += (fault.expected.empty() ? ": found " : ", found ") + fault.found;
  if (!fault.cause.empty()) line += " (" + fault.cause + ")";
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

}  // namespace

Error::Error(Fault fault) : std::runtime_error(format_fault(fault)), fault_(std::move(fault)) {}

std::string errno_text() {
  return std::strerror(errno);
}

void fail_check(const char* condition, const char* file, int line) {
  throw std::logic_error(std::string("internal check failed: ") + condition + " at " + file + ":" +
                         std::to_string(line));
}

}  // namespace assay
