#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Strings as Python sees them: sequences of code points held as UTF-8. Bytes that are not UTF-8 stand for
/// one code point each (U+DC80 + low bits, Python's "surrogateescape") and come out again unchanged.
namespace assay::jinja {

std::u32string decode_utf8(std::string_view text);
std::string encode_utf8(std::u32string_view text);
void append_utf8(std::string& out, char32_t code_point);
size_t count_code_points(std::string_view text) noexcept;
bool is_ascii(std::string_view text) noexcept;

/// Python's str.isspace() for one code point; also what `\s` matches.
bool is_space(char32_t code_point) noexcept;
/// Letters that have case: Lu, Ll, Lt.
bool is_upper(char32_t code_point) noexcept;
bool is_lower(char32_t code_point) noexcept;
bool is_cased(char32_t code_point) noexcept;
bool is_letter(char32_t code_point) noexcept;
bool is_decimal_digit(char32_t code_point) noexcept;
/// Any numeric category (Nd, Nl, No).
bool is_numeric(char32_t code_point) noexcept;

/// Full case mappings ("ß" becomes "SS"; a final Σ becomes "ς").
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
/// str.title(): the first letter of each run of cased letters in title case, the others lower.
std::string to_title(std::string_view text);
/// First code point in title case, the rest lower.
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);

enum class Side { kBoth, kLeft, kRight };
/// Removes code points of `characters` (whitespace when absent) from the chosen ends.
std::string_view strip(std::string_view text, std::optional<std::string_view> characters, Side side);

/// First occurrence at or after `from`, or npos, in time linear in the text whatever the needle.
size_t find_bytes(std::string_view text, std::string_view needle, size_t from = 0) noexcept;
/// Non-overlapping occurrences, left to right; an empty needle occurs around every code point.
size_t count_occurrences(std::string_view text, std::string_view needle);
/// `limit` < 0 replaces all.
std::string replace(std::string_view text, std::string_view old, std::string_view with, long long limit);

/// str.split() and str.rsplit(); an absent separator splits on runs of whitespace. `limit` < 0: no limit.
/// The separator must not be empty.
std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                               long long limit);
std::vector<std::string> split_from_right(std::string_view text, std::optional<std::string_view> separator,
                                          long long limit);
/// str.splitlines(): every line break Unicode knows.
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);

/// repr() of a str: quotes chosen and characters escaped as Python does.
std::string quote(std::string_view text);
/// repr() of a float: the shortest digits that read back, exponent from 1e16 and below 1e-4.
std::string format_float(double value);
/// `<`, `>`, `&`, `'` and `"` as markupsafe.escape writes them.
std::string escape_html(std::string_view text);

}  // namespace assay::jinja
