#pragma once
#include <string>
#include <string_view>

namespace assay {

/// The page's style sheet: light and dark by `color-scheme`, phones, print.
std::string_view page_style() noexcept;
/// The page's script: sorts tables, switches the theme, shows what a number rests on. The page says all it
/// has to say without it.
std::string_view page_script() noexcept;
/// The Content-Security-Policy under which the page runs this script and no other, and fetches nothing.
std::string page_policy();

}  // namespace assay
