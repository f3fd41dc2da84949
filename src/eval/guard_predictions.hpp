#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/guard_store.hpp"

namespace assay {

/// Stored answers of any kind, to be scored again: rows that eval guard wrote, GuardReasoner's
/// generated_predictions.jsonl ({prompt, label, predict}), or wizard101's results_*.json, whose answers are
/// cut at 500 characters and whose labels are therefore taken as they stand. `set` names the set; empty: by
/// the file, or its folder. Throws Error naming the row for anything else.
std::vector<GuardRecord> read_guard_predictions(const std::filesystem::path& path, const std::string& set);

/// The forms in which wizard101's scripts kept their results.
enum class LegacySchema : uint8_t {
  kPerClass,   ///< eval_8b_baseline.py, eval_standard.py: metrics by class, labels safe and harmful
  kConfusion,  ///< eval_fast_mac.py, eval_mlx_wildguard.py: one class, labels unharmful and harmful
};
/// "per-class" or "confusion". Throws UsageError for another word.
LegacySchema parse_legacy_schema(std::string_view word);

/// {"metrics", "results"} of task 1 as those scripts wrote it, prompts cut at 100 characters and answers at
/// 500, each row with the whole answer, the prompt's hash, tokens and seconds besides. As there, rows that no
/// label could be read from count in total alone.
nlohmann::ordered_json legacy_results(std::span<const GuardRecord> records,
                                      std::span<const GuardLabel> predicted, LegacySchema schema,
                                      const nlohmann::ordered_json& model);

}  // namespace assay
