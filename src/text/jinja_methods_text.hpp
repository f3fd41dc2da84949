#pragma once
#include "text/jinja_runtime.hpp"

namespace assay::jinja {

/// A method of str, or null.
Native find_text_method(std::string_view name) noexcept;

/// The methods that look for something in a str; positions count code points.
namespace text_methods {
Value count(Runtime& runtime, const Value& self, const Arguments& arguments);
Value starts_with(Runtime& runtime, const Value& self, const Arguments& arguments);
Value ends_with(Runtime& runtime, const Value& self, const Arguments& arguments);
Value find(Runtime& runtime, const Value& self, const Arguments& arguments);
Value find_last(Runtime& runtime, const Value& self, const Arguments& arguments);
Value index(Runtime& runtime, const Value& self, const Arguments& arguments);
Value index_last(Runtime& runtime, const Value& self, const Arguments& arguments);
}  // namespace text_methods

}  // namespace assay::jinja
