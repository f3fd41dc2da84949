#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"

/// Typed access to tokenizer files: each throws Error naming `where` and the key.
namespace assay::text {

const std::string& string_field(const nlohmann::json& object, const char* key, const std::string& where);
const nlohmann::json& array_field(const nlohmann::json& object, const char* key, const std::string& where);
const nlohmann::json& object_field(const nlohmann::json& object, const char* key, const std::string& where);
/// `fallback` when missing or null.
bool bool_field(const nlohmann::json& object, const char* key, bool fallback, const std::string& where);
int64_t integer_field(const nlohmann::json& object, const char* key, const std::string& where);
/// Empty when missing or null.
std::string optional_string_field(const nlohmann::json& object, const char* key, const std::string& where);
/// The member, or null.
const nlohmann::json& field_or_null(const nlohmann::json& object, const char* key);

Error unsupported(const std::string& part, const std::string& type, const std::string& where);

}  // namespace assay::text
