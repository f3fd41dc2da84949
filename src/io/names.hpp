#pragma once
#include <string>
#include <string_view>

namespace assay {

/// A name from a file made fit for an error line: quoted, at most 120 bytes, control characters and bytes
/// that are no UTF-8 shown as \xNN.
std::string quote_name(std::string_view name);

/// Names in files end up in error lines, C strings and file names: true for well-formed UTF-8 without NUL.
bool is_safe_name(std::string_view name) noexcept;

}  // namespace assay
