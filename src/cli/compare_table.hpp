#pragma once
#include <string>

#include "report/report.hpp"

namespace assay {

/// The comparison for a terminal: a row for every subject with its headline numbers, what they rest on, the
/// answers side by side, the advice and the notes.
std::string comparison_text(const Report& report);

}  // namespace assay
