#include <cstring>

#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {

Bound::Bound(const char* callee, const Arguments& arguments, std::initializer_list<const char*> names,
             size_t required)
    : callee_(callee), names_(names), slots_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    fail(std::string(callee) + "() takes at most " + std::to_string(names_.size()) + " arguments (" +
         std::to_string(arguments.positional.size()) + " given)");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) slots_[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    size_t i = 0;
    while (i < names_.size() && name != names_[i]) ++i;
    if (i == names_.size()) {
      fail(std::string(callee) + "() got an unexpected keyword argument " + quote(name));
    }
    if (slots_[i]) fail(std::string(callee) + "() got multiple values for argument " + quote(name));
    slots_[i] = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!slots_[i]) {
      const char* name = names_[i][0] == '*' ? names_[i] + 1 : names_[i];
      fail(std::string(callee) + "() missing required argument '" + name + "'");
    }
  }
}

int64_t Bound::integer(size_t i, int64_t fallback) const {
  if (!slots_[i]) return fallback;
  if (const auto value = slots_[i]->integral()) return *value;
  require_defined(*slots_[i]);
  fail("'" + slots_[i]->type_name() + "' object cannot be interpreted as an integer by " + callee_ + "()");
}

bool Bound::truth(size_t i, bool fallback) const {
  return slots_[i] ? is_true(*slots_[i]) : fallback;
}

std::string Bound::text(size_t i, const std::string& fallback) const {
  if (!slots_[i]) return fallback;
  if (const std::string* value = slots_[i]->as_text()) return *value;
  fail(std::string(callee_) + "() argument must be str, not " + slots_[i]->type_name());
}

std::optional<std::string> Bound::optional_text(size_t i) const {
  if (!slots_[i] || slots_[i]->is_none()) return std::nullopt;
  return text(i, {});
}

}  // namespace assay::jinja
