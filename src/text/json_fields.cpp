#include "text/json_fields.hpp"

#include <fmt/format.h>

namespace assay::text {
namespace {

const nlohmann::json& require(const nlohmann::json& object, const char* key, const char* type,
                              bool (nlohmann::json::*is)() const noexcept, const std::string& where) {
  const nlohmann::json& value = field_or_null(object, key);
  if (!(value.*is)())
    throw Error({fmt::format("{:?} is missing or of another type", key), where, type, value.type_name(), {}});
  return value;
}

}  // namespace

const nlohmann::json& field_or_null(const nlohmann::json& object, const char* key) {
  static const nlohmann::json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

const std::string& string_field(const nlohmann::json& object, const char* key, const std::string& where) {
  return require(object, key, "a string", &nlohmann::json::is_string, where).get_ref<const std::string&>();
}
const nlohmann::json& array_field(const nlohmann::json& object, const char* key, const std::string& where) {
  return require(object, key, "an array", &nlohmann::json::is_array, where);
}
const nlohmann::json& object_field(const nlohmann::json& object, const char* key, const std::string& where) {
  return require(object, key, "an object", &nlohmann::json::is_object, where);
}
bool bool_field(const nlohmann::json& object, const char* key, bool fallback, const std::string& where) {
  if (field_or_null(object, key).is_null()) return fallback;
  return require(object, key, "true or false", &nlohmann::json::is_boolean, where).get<bool>();
}
int64_t integer_field(const nlohmann::json& object, const char* key, const std::string& where) {
  const nlohmann::json& value = require(object, key, "an integer", &nlohmann::json::is_number_integer, where);
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return INT64_MAX;
  return value.get<int64_t>();
}
std::string optional_string_field(const nlohmann::json& object, const char* key, const std::string& where) {
  if (field_or_null(object, key).is_null()) return {};
  return string_field(object, key, where);
}

Error unsupported(const std::string& part, const std::string& type, const std::string& where) {
  return Error({fmt::format("{} of type {:?} is not supported", part, type), where, {}, {}, {}});
}

}  // namespace assay::text
