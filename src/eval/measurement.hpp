#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>

#include "eval/statistics.hpp"

namespace assay {

/// One measured number and what is needed to judge it. Reports print Measurements; they never compute.
struct Measurement {
  std::string subject;  ///< label of what was measured, unique within a report
  std::string task;     ///< "divergence", "guard", "judge", "speed", "size", …
  std::string metric;   ///< "kl_mean", "f1", "decode", …
  std::string unit;     ///< "nats/token", "share", "tok/s", "bytes", …
  double value = 0.0;
  std::optional<double> low{}, high{};  ///< 95 % interval; none where the value is no sample's
  int64_t n = 0;                        ///< independent units the interval rests on
  std::string n_unit;                   ///< "documents", "rows", "prompts", "runs", …
  nlohmann::ordered_json settings{};    ///< everything that changes the number: compute, corpus, seed, …
  std::string file_sha256{};            ///< of the weights measured; empty for an endpoint
};

/// The same with an Estimate's value, interval and n; infinite bounds (too few units) become none.
Measurement make_measurement(std::string subject, std::string task, std::string metric, std::string unit,
                             const Estimate& estimate, std::string n_unit);

/// Who is better in a paired comparison.
enum class PairedVerdict { kFirstBetter, kSecondBetter, kNoDifferenceShown };

/// Two subjects on the same items. A winner is named only where the interval of the difference excludes 0.
struct PairedComparison {
  std::string task, metric, unit;
  std::string first, second;  ///< subjects
  Estimate difference{};      ///< second minus first, with its paired 95 % interval
  bool higher_is_better = true;
  std::optional<double> p{};       ///< exact McNemar or paired bootstrap, two-sided; settings say which
  std::optional<double> p_holm{};  ///< corrected for every comparison of the report
  std::optional<int64_t>
      n_needed{};  ///< items that would show this difference (80 % power), where none is shown
  nlohmann::ordered_json settings{};

  PairedVerdict verdict() const noexcept;
};

/// The number; null where it is NaN or infinite, which JSON lacks.
nlohmann::ordered_json finite_json(double value);
/// The value, null where there is none or it is not finite.
template <typename T>
nlohmann::ordered_json optional_json(const std::optional<T>& value) {
  if (!value) return {};
  if constexpr (std::is_floating_point_v<T>) return finite_json(*value);
  return nlohmann::ordered_json(*value);
}

/// {value, low, high, n}; infinite bounds (one window only) become null.
nlohmann::ordered_json to_json(const Estimate& estimate);
nlohmann::ordered_json to_json(const Measurement& measurement);
nlohmann::ordered_json to_json(const PairedComparison& comparison);
/// Inverse of to_json. Throws Error naming the member that is missing or of another type.
Measurement measurement_from_json(const nlohmann::ordered_json& json);
PairedComparison paired_comparison_from_json(const nlohmann::ordered_json& json);

}  // namespace assay
