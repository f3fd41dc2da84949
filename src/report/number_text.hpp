#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "eval/measurement.hpp"

/// How a report writes numbers. Nothing is computed here but decimals and the GB and GiB of a byte count.
namespace assay {

/// A number as a reader sees it: "0.0059", "[0.0058, 0.0061]", "nats/token". `unit` is empty where the value
/// already says it ("97.0 %", "7.83 MB · 7.47 MiB"), `interval` where there is none.
struct NumberText {
  std::string value, interval, unit;

  /// All of it on one line.
  std::string line() const;
};

/// Decimals follow the interval: its half width is shown with two significant digits. Without an interval
/// the value has four significant digits. NaN and infinities read "–".
NumberText format_number(double value, std::optional<double> low, std::optional<double> high,
                         std::string_view unit);
NumberText format_number(const Measurement& measurement);
/// A difference carries its sign: "+0.8", "−0.8". Shares become points of a percentage.
NumberText format_difference(const Estimate& difference, std::string_view unit);

/// "1.81 GB · 1.68 GiB"; below 0.1 GB "7.83 MB · 7.47 MiB", below 0.1 MB "12,345 bytes".
std::string format_size(double bytes);
/// "12,345"; "−12,345"
std::string format_whole(int64_t number);
/// Two significant digits, "< 0.0001" below that.
std::string format_p(double p);
/// "compute exact, seed 7"; nested values as JSON; "" for none.
std::string format_settings(const nlohmann::ordered_json& settings);
/// What a value of the settings reads as.
std::string setting_text(const nlohmann::ordered_json& value);
/// Everything `measurement` rests on, in lines: value, interval, n, settings, file.
std::string describe_basis(const Measurement& measurement);

}  // namespace assay
