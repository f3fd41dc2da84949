#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay::jinja {

/// Bytes of the literal or name that `text` starts with, 0 when it starts with none. Digits may be separated
/// by single underscores.
size_t float_length(std::string_view text);
size_t integer_length(std::string_view text);
size_t name_length(std::string_view text);
/// With both quotes; 0 also when the closing quote is missing.
size_t string_length(std::string_view text);

std::string without_separators(std::string_view digits);
/// Decimal, 0x, 0o and 0b; nothing beyond 64 bits.
std::optional<int64_t> parse_integer_literal(std::string_view digits);
/// The text a quoted literal stands for (Python's escapes). Throws Failure on a malformed escape.
std::string unescape_string(std::string_view quoted);

}  // namespace assay::jinja
