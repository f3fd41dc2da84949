#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace assay {

/// Typed access to the members of a config.json object. A member that is null counts as absent. Every Error
/// names the file and the key.
class ConfigFields {
 public:
  /// `object` must outlive this. `where` stands before the key in messages: "config.json".
  explicit ConfigFields(const nlohmann::json& object, std::string where = "config.json");

  bool has(std::string_view key) const noexcept;
  /// True also for a member that is null.
  bool mentions(std::string_view key) const noexcept { return object_.find(key) != object_.end(); }
  int64_t integer(std::string_view key) const;
  int64_t integer_or(std::string_view key, int64_t fallback) const;
  double number(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string fallback) const;
  /// The member, or null JSON when absent.
  const nlohmann::json& at(std::string_view key) const noexcept;
  /// Like integer(), but must lie in [1, limit].
  int64_t dimension(std::string_view key, int64_t limit) const;

  const std::string& where() const noexcept { return where_; }
  [[noreturn]] void fail(std::string_view key, std::string_view expected, std::string_view cause = {}) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace assay
