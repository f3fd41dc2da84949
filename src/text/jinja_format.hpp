#pragma once
#include "text/jinja_runtime.hpp"

namespace assay::jinja {

/// `format % arguments`, printf style: a tuple gives the values in order, a dict by %(name)s.
Value format_percent(Runtime& runtime, const Value& format, const Value& arguments);
/// str.format(): {} {0} {name} {a.b[c]} with !r !s and format specifications.
Value format_braces(Runtime& runtime, const Value& format, const Arguments& arguments);

}  // namespace assay::jinja
