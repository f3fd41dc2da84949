#include "eval/measurement.hpp"

#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
T required(const Json& json, const char* name) {
  const auto member = json.find(name);
  if (member == json.end()) throw Error({"a measurement lacks a member", {}, name, "none", {}});
  // A fraction, or a number beyond the range, would be bent into the integer without a word.
  if (std::is_same_v<T, int64_t> && !member->is_number_integer())
    throw Error({"a measurement's member has another type", {}, name, member->type_name(), {}});
  try {
    return member->get<T>();
  } catch (const Json::exception& fault) {
    throw Error({"a measurement's member has another type", {}, name, fault.what(), {}});
  }
}

template <typename T>
std::optional<T> optional_member(const Json& json, const char* name) {
  const auto member = json.find(name);
  if (member == json.end() || member->is_null()) return std::nullopt;
  return required<T>(json, name);
}

}  // namespace

Json finite_json(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Measurement make_measurement(std::string subject, std::string task, std::string metric, std::string unit,
                             const Estimate& estimate, std::string n_unit) {
  Measurement made{.subject = std::move(subject),
                   .task = std::move(task),
                   .metric = std::move(metric),
                   .unit = std::move(unit),
                   .value = estimate.value,
                   .n = estimate.n,
                   .n_unit = std::move(n_unit)};
  if (std::isfinite(estimate.low)) made.low = estimate.low;
  if (std::isfinite(estimate.high)) made.high = estimate.high;
  return made;
}

PairedVerdict PairedComparison::verdict() const noexcept {
  const bool above = difference.low > 0.0, below = difference.high < 0.0;
  if (!above && !below) return PairedVerdict::kNoDifferenceShown;
  return above == higher_is_better ? PairedVerdict::kSecondBetter : PairedVerdict::kFirstBetter;
}

Json to_json(const Estimate& estimate) {
  return {{"value", finite_json(estimate.value)},
          {"low", finite_json(estimate.low)},
          {"high", finite_json(estimate.high)},
          {"n", estimate.n}};
}

Json to_json(const Measurement& m) {
  return {{"subject", m.subject},
          {"task", m.task},
          {"metric", m.metric},
          {"unit", m.unit},
          {"value", finite_json(m.value)},
          {"low", optional_json(m.low)},
          {"high", optional_json(m.high)},
          {"n", m.n},
          {"n_unit", m.n_unit},
          {"settings", m.settings},
          {"file_sha256", m.file_sha256}};
}

Json to_json(const PairedComparison& c) {
  return {{"task", c.task},
          {"metric", c.metric},
          {"unit", c.unit},
          {"first", c.first},
          {"second", c.second},
          {"difference", finite_json(c.difference.value)},
          {"low", finite_json(c.difference.low)},
          {"high", finite_json(c.difference.high)},
          {"n", c.difference.n},
          {"higher_is_better", c.higher_is_better},
          {"p", optional_json(c.p)},
          {"p_holm", optional_json(c.p_holm)},
          {"n_needed", optional_json(c.n_needed)},
          {"settings", c.settings}};
}

Measurement measurement_from_json(const Json& json) {
  return {.subject = required<std::string>(json, "subject"),
          .task = required<std::string>(json, "task"),
          .metric = required<std::string>(json, "metric"),
          .unit = required<std::string>(json, "unit"),
          .value = optional_member<double>(json, "value").value_or(std::nan("")),
          .low = optional_member<double>(json, "low"),
          .high = optional_member<double>(json, "high"),
          .n = required<int64_t>(json, "n"),
          .n_unit = required<std::string>(json, "n_unit"),
          .settings = json.value("settings", Json()),
          .file_sha256 = optional_member<std::string>(json, "file_sha256").value_or("")};
}

PairedComparison paired_comparison_from_json(const Json& json) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {
      .task = required<std::string>(json, "task"),
      .metric = required<std::string>(json, "metric"),
      .unit = required<std::string>(json, "unit"),
      .first = required<std::string>(json, "first"),
      .second = required<std::string>(json, "second"),
      .difference = {optional_member<double>(json, "difference").value_or(std::nan("")),
                     optional_member<double>(json, "low").value_or(-kInfinity),
                     optional_member<double>(json, "high").value_or(kInfinity), required<int64_t>(json, "n")},
      .higher_is_better = required<bool>(json, "higher_is_better"),
      .p = optional_member<double>(json, "p"),
      .p_holm = optional_member<double>(json, "p_holm"),
      .n_needed = optional_member<int64_t>(json, "n_needed"),
      .settings = json.value("settings", Json())};
}

}  // namespace assay
