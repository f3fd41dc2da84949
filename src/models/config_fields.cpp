#include "models/config_fields.hpp"

#include <cmath>
#include <optional>

#include "base/error.hpp"

namespace assay {
namespace {

const nlohmann::json kAbsent = nullptr;

/// The value of a JSON number that is whole, however it is spelled (8192 or 8192.0).
std::optional<int64_t> whole_number(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(std::fabs(number) < 9e15) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::string shorten(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

ConfigFields::ConfigFields(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object_.is_object())
    throw Error(Fault{"not a JSON object", where_, "an object", shorten(object_), {}});
}

const nlohmann::json& ConfigFields::at(std::string_view key) const noexcept {
  const auto found = object_.find(key);
  return found == object_.end() ? kAbsent : *found;
}

bool ConfigFields::has(std::string_view key) const noexcept {
  return !at(key).is_null();
}

void ConfigFields::fail(std::string_view key, std::string_view expected, std::string_view cause) const {
  const bool absent = object_.find(key) == object_.end();
  throw Error(Fault{absent ? "key is missing" : "key has an unusable value", where_ + ": " + std::string(key),
                    std::string(expected), absent ? std::string() : shorten(at(key)), std::string(cause)});
}

int64_t ConfigFields::integer(std::string_view key) const {
  const std::optional<int64_t> value = whole_number(at(key));
  if (!value) fail(key, "an integer");
  return *value;
}

int64_t ConfigFields::integer_or(std::string_view key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

int64_t ConfigFields::dimension(std::string_view key, int64_t limit) const {
  const int64_t value = integer(key);
  if (value < 1 || value > limit) fail(key, "an integer from 1 to " + std::to_string(limit));
  return value;
}

double ConfigFields::number(std::string_view key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) fail(key, "a finite number");
  return value.get<double>();
}

double ConfigFields::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool ConfigFields::boolean_or(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_boolean()) fail(key, "true or false");
  return at(key).get<bool>();
}

std::string ConfigFields::string_or(std::string_view key, std::string fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_string()) fail(key, "a string");
  return at(key).get<std::string>();
}

}  // namespace assay
