#pragma once
#include "text/jinja_runtime.hpp"

namespace assay::jinja {

/// A method of str, or null.
Native find_text_method(std::string_view name) noexcept;

}  // namespace assay::jinja
