#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/compute.hpp"
#include "eval/speed.hpp"

namespace assay {

/// Load, prefill and decode of one language model, measured in this process: a row for each test, {path,
/// format, test, unit, values, gb_per_unit, gmac_per_unit, weight_bytes, kv_bytes, peak_rss_bytes,
/// logits_hash, …}, which finish_runs() completes.
nlohmann::ordered_json measure_decoder(const std::string& path, const EngineOptions& engine,
                                       const SpeedOptions& options);

/// The rows of two rounds of the same file as one: values joined, the larger peak kept. Throws Error when the
/// rounds gave different logits.
void join_rounds(nlohmann::ordered_json& rows, const nlohmann::ordered_json& later);

/// Adds n, median, min, max, percentiles, gb_s, bandwidth_share and int8_share to every row; `machine` is
/// {read_gb_s, int8_peak, …}.
void finish_runs(nlohmann::ordered_json& rows, const nlohmann::ordered_json& machine);

/// The sentences of explain_bounds() for these rows.
std::vector<std::string> explain_runs(const nlohmann::ordered_json& rows);

/// The machine, a table by configuration, one by test, and the explanations.
void print_runs(const nlohmann::ordered_json& document);

}  // namespace assay
