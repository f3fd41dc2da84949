#include "text/jinja_template.hpp"

#include <ctime>

#include "text/jinja_evaluator.hpp"

namespace assay::jinja {

std::string Template::render(const nlohmann::ordered_json& values, const Limits& limits) const {
  if (!values.is_object() && !values.is_null()) fail("the values of a template are a JSON object");
  nlohmann::ordered_json given = values.is_null() ? nlohmann::ordered_json::object() : values;
  auto now = static_cast<int64_t>(std::time(nullptr));
  if (const auto at = given.find("__now"); at != given.end()) {
    if (!at->is_number_integer()) fail("__now is seconds since the epoch, an integer");
    now = at->get<int64_t>();
    given.erase(at);
  }
  return Evaluator(limits, now, from_json(given)).render(body_);
}

}  // namespace assay::jinja
