#include "io/names.hpp"

#include <fmt/format.h>

namespace assay {
namespace {

/// Length of the UTF-8 sequence at the front of `text`, 0 when it is ill-formed. Table 3-7 of the Unicode
/// standard.
size_t utf8_length(std::string_view text) noexcept {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at(1) < low || at(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string quote_name(std::string_view name) {
  constexpr size_t kLongest = 120;
  std::string quoted = "\"";
  while (!name.empty()) {
    if (quoted.size() > kLongest) return quoted + "…\"";
    const size_t length = utf8_length(name);
    const auto lead = static_cast<unsigned char>(name[0]);
    if (length == 0 || lead < 0x20 || lead == 0x7f) {
      quoted += fmt::format("\\x{:02x}", lead);
      name.remove_prefix(1);
      continue;
    }
    quoted += name.substr(0, length);
    name.remove_prefix(length);
  }
  return quoted + "\"";
}

bool is_safe_name(std::string_view name) noexcept {
  while (!name.empty()) {
    const size_t length = utf8_length(name);
    if (length == 0 || name[0] == '\0') return false;
    name.remove_prefix(length);
  }
  return true;
}

}  // namespace assay
