#pragma once
#include "text/jinja_runtime.hpp"

namespace assay::jinja {

/// Python's format specification: [[fill]align][sign][#][0][width][,][.precision][type].
struct FormatSpec {
  std::string fill = " ";  ///< one code point
  char align = '\0';       ///< '<', '>', '^', '=' (padding after the sign); '\0': by type
  char sign = '-';         ///< '-', '+' or ' '
  bool alternate = false;
  char grouping = '\0';  ///< ',' or '_'
  int64_t width = 0;
  int64_t precision = -1;  ///< -1: not given
  char type = '\0';
};

/// Throws Failure when `text` is not a specification.
FormatSpec parse_format_spec(Runtime& runtime, std::string_view text);
std::string format_as_text(Runtime& runtime, const std::string& text, const FormatSpec& spec);
std::string format_as_integer(Runtime& runtime, int64_t value, const FormatSpec& spec);
std::string format_as_float(Runtime& runtime, double value, const FormatSpec& spec);

}  // namespace assay::jinja
