#include "cli/size_table.hpp"

#include <fmt/format.h>

#include "convert/conversion_metadata.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;

/// What `du --apparent-size` counts: every file below the path.
uint64_t bytes_on_disk(const fs::path& path) {
  if (!fs::is_directory(path)) return fs::file_size(path);
  uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file()) total += entry.file_size();
  return total;
}

std::optional<SizeClaims> claims_beside(const fs::path& path) {
  return read_size_claims(fs::is_directory(path) ? path : path.parent_path());
}

std::string shown(const std::optional<double>& value, const char* unit = "") {
  return value ? fmt::format("{:.2f}{}", *value, unit) : "-";
}

/// Against the target as told; where the file gives no ratio, from the sizes themselves.
std::optional<double> ratio_to_target(const SizeClaims& claims, double weights_mb) {
  if (claims.size_accuracy_ratio) return claims.size_accuracy_ratio;
  if (!claims.target_mb || *claims.target_mb <= 0) return std::nullopt;
  return weights_mb / *claims.target_mb;
}

double ratio(uint64_t first, uint64_t bytes) {
  return bytes == 0 ? 0.0 : static_cast<double>(first) / static_cast<double>(bytes);
}

nlohmann::ordered_json claims_json(const SizeClaims& claims) {
  nlohmann::ordered_json json = {{"version", claims.version}};
  const auto add = [&](const char* key, const std::optional<double>& value) {
    if (value) json[key] = *value;
  };
  add("bits", claims.bits);
  add("actual_size_mb", claims.actual_mb);
  add("target_size_mb", claims.target_mb);
  add("original_size_mb", claims.original_mb);
  add("compression_ratio", claims.compression_ratio);
  add("size_accuracy_ratio", claims.size_accuracy_ratio);
  return json;
}

}  // namespace

void print_sizes(const std::vector<Inspection>& inspections) {
  Table table({"path", "verdict", "weights MiB", "on disk MiB", "first / this", "told version", "told MiB",
               "told original", "told target", "size / target"});
  for (const Inspection& inspection : inspections) {
    const std::optional<SizeClaims> told = claims_beside(inspection.path);
    const double weights_mb = to_mib(inspection.bytes);
    table.add_row({inspection.path.string(), std::string(verdict_name(inspection.verdict)), shown(weights_mb),
                   shown(to_mib(bytes_on_disk(inspection.path))),
                   shown(ratio(inspections[0].bytes, inspection.bytes), "x"), told ? told->version : "-",
                   told ? shown(told->actual_mb) : "-", told ? shown(told->original_mb) : "-",
                   told ? shown(told->target_mb) : "-",
                   told ? shown(ratio_to_target(*told, weights_mb), "x") : "-"});
  }
  fmt::print("{}", table.to_text());
}

nlohmann::ordered_json sizes_json(const std::vector<Inspection>& inspections) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Inspection& inspection : inspections) {
    const std::optional<SizeClaims> told = claims_beside(inspection.path);
    rows.push_back({{"path", inspection.path.string()},
                    {"verdict", verdict_name(inspection.verdict)},
                    {"weight_bytes", inspection.bytes},
                    {"weights_mb", to_mib(inspection.bytes)},
                    {"disk_bytes", bytes_on_disk(inspection.path)},
                    {"ratio_to_first", ratio(inspections[0].bytes, inspection.bytes)},
                    {"told", told ? claims_json(*told) : nlohmann::ordered_json()}});
  }
  return rows;
}

}  // namespace assay
