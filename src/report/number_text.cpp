#include "report/number_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/memory.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNone = "–";

/// Commas every three digits of the whole part from five digits on, and a true minus sign.
std::string typeset(std::string digits) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.erase(0, 1);
  if (negative && digits.find_first_not_of("0.") == digits.npos) return digits;  // "-0.00"
  const size_t whole = std::min(digits.find('.'), digits.size());
  if (whole > 4)
    for (size_t i = whole; i > 3; i -= 3) digits.insert(i - 3, ",");
  return (negative ? "−" : "") + digits;
}

std::string superscript(int exponent) {
  constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = exponent < 0 ? "⁻" : "";
  for (const char digit : std::to_string(std::abs(exponent))) text += kDigits[digit - '0'];
  return text;
}

/// `decimals` behind the point; beyond seven, or from 10^15 on, a power of ten.
std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return kNone;
  if (decimals <= 7 && std::abs(value) < 1e15)
    return typeset(fmt::format("{:.{}f}", value, std::max(0, decimals)));
  if (value == 0.0) return "0";
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value))));
  const int digits = std::clamp(decimals + exponent, 0, 3);
  return typeset(fmt::format("{:.{}f}", value / std::pow(10.0, exponent), digits)) + " × 10" +
         superscript(exponent);
}

/// Decimals that show `step` with `significant` digits.
int decimals_for(double step, int significant) {
  return step > 0.0 ? significant - 1 - static_cast<int>(std::floor(std::log10(step))) : 0;
}

int choose_decimals(double value, std::optional<double> low, std::optional<double> high) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  if (low && high && std::isfinite(*high - *low) && *high > *low) return decimals_for((*high - *low) / 2, 2);
  if (whole || !std::isfinite(value)) return 0;
  return std::max(0, decimals_for(std::abs(value), 4));
}

std::string bound(std::optional<double> value, double factor, int decimals, const char* missing) {
  return value && std::isfinite(*value) ? fixed(*value * factor, decimals) : missing;
}

/// "[low, high]"; "" where neither bound is known.
std::string interval_text(std::optional<double> low, std::optional<double> high, double factor,
                          int decimals) {
  const bool any = (low && std::isfinite(*low)) || (high && std::isfinite(*high));
  if (!any) return "";
  return "[" + bound(low, factor, decimals, "−∞") + ", " + bound(high, factor, decimals, "∞") + "]";
}

std::optional<double> scaled(std::optional<double> value, double factor) {
  return value ? std::optional(*value * factor) : std::nullopt;
}

bool is_share(std::string_view unit) {
  return unit == "share";
}

NumberText size_number(double value, std::optional<double> low, std::optional<double> high) {
  NumberText text{.value = format_size(value), .interval = "", .unit = ""};
  if (low && high && *high > *low) text.interval = "[" + format_size(*low) + ", " + format_size(*high) + "]";
  return text;
}

}  // namespace

std::string NumberText::line() const {
  return value + (interval.empty() ? "" : " " + interval) + (unit.empty() ? "" : " " + unit);
}

NumberText format_number(double value, std::optional<double> low, std::optional<double> high,
                         std::string_view unit) {
  if (!std::isfinite(value)) return {.value = kNone, .interval = "", .unit = ""};
  if (unit == "bytes") return size_number(value, low, high);
  const double factor = is_share(unit) ? 100.0 : 1.0;
  const int decimals = choose_decimals(value * factor, scaled(low, factor), scaled(high, factor));
  return {.value = fixed(value * factor, decimals) + (is_share(unit) ? " %" : ""),
          .interval = interval_text(low, high, factor, decimals),
          .unit = is_share(unit) ? "" : std::string(unit)};
}

NumberText format_number(const Measurement& m) {
  return format_number(m.value, m.low, m.high, m.unit);
}

NumberText format_difference(const Estimate& difference, std::string_view unit) {
  if (unit == "bytes") unit = "B";
  NumberText text = format_number(difference.value, difference.low, difference.high, unit);
  if (is_share(unit) && text.value.ends_with(" %")) {
    text.value.resize(text.value.size() - 2);
    text.unit = "points";
  }
  if (difference.value > 0.0) text.value.insert(0, "+");
  return text;
}

std::string format_size(double bytes) {
  if (!std::isfinite(bytes)) return kNone;
  const auto scale = [&](double decimal, double binary, const char* names) {
    const auto digits = [](double number) { return fixed(number, std::max(0, decimals_for(number, 3))); };
    return digits(bytes / decimal) + " " + names[0] + "B · " + digits(bytes / binary) + " " + names[0] + "iB";
  };
  if (bytes >= 1e8) return scale(1e9, 0x1p30, "G");
  if (bytes >= 1e5) return scale(1e6, 0x1p20, "M");
  return typeset(fmt::format("{:.0f}", bytes)) + " bytes";
}

std::string format_whole(int64_t number) {
  return typeset(std::to_string(number));
}

std::string format_p(double p) {
  if (!std::isfinite(p)) return kNone;
  if (p < 1e-4) return "< 0.0001";
  return fixed(p, p >= 0.995 ? 2 : decimals_for(p, 2));
}

std::string setting_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "none";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string format_settings(const Json& settings) {
  if (settings.is_null()) return "";
  if (!settings.is_object()) return setting_text(settings);
  std::string text;
  for (const auto& [name, value] : settings.items())
    text += (text.empty() ? "" : ", ") + name + " " + setting_text(value);
  return text;
}

std::string describe_basis(const Measurement& m) {
  const NumberText number = format_number(m);
  std::string text = number.value + (number.unit.empty() ? "" : " " + number.unit);
  if (m.unit == "bytes" && std::isfinite(m.value) && m.value >= 0.0 && m.value < 0x1p63)
    text += " = " + format_count(static_cast<uint64_t>(m.value)) + " bytes";
  text += number.interval.empty() ? "\nno interval: not a sample, or too few units"
                                  : "\n95 % interval " + number.interval;
  text += "\nn = " + format_whole(m.n) + (m.n_unit.empty() ? "" : " " + m.n_unit);
  const std::string settings = format_settings(m.settings);
  if (!settings.empty()) text += "\n" + settings;
  if (!m.file_sha256.empty()) text += "\nfile sha256 " + m.file_sha256;
  return text;
}

}  // namespace assay
