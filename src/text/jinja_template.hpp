#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text/jinja_ast.hpp"

namespace assay::jinja {

/// A compiled template without the file handling of ChatTemplate. Throws Failure.
class Template {
 public:
  explicit Template(std::string_view source) : body_(parse_template(source)) {}
  /// `values` is an object; "__now" in it (seconds since the epoch) replaces the clock.
  std::string render(const nlohmann::ordered_json& values, const Limits& limits = {}) const;

 private:
  Body body_;
};

}  // namespace assay::jinja
