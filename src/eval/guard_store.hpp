#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "eval/guard_labels.hpp"

namespace assay {

/// One answered row, as it is kept.
struct GuardRecord {
  std::string set, id;
  std::string prompt;         ///< the request alone
  std::string prompt_sha256;  ///< of the whole prompt that the model was given
  std::string source{};
  GuardLabels truth{};
  std::string text{};           ///< the whole answer
  std::string finish_reason{};  ///< "stop" or "length"; empty where nobody said
  std::string error{};          ///< why there is no answer
  int64_t prompt_tokens = 0, answer_tokens = 0;
  double seconds = 0.0, prefill_seconds = 0.0, decode_seconds = 0.0;
  int threads = 0;
  std::string machine{};
  /// Labels that were stored without the text they were read from.
  std::optional<GuardLabels> predicted{};
  /// Without generation: ln p(positive word) − ln p(negative word), by task.
  std::optional<std::array<double, 3>> margins{};
};

nlohmann::ordered_json to_json(const GuardRecord& record);
/// Throws Error naming `where` for what is no such record.
GuardRecord guard_record_from_json(const nlohmann::json& json, const std::string& where);

/// The answers of one model under one setting, one JSON object a line, the first of them saying which. A row
/// is written whole and flushed before the next is asked for; what a killed process leaves unfinished at the
/// end is cut off when the file is opened again.
class GuardStore {
 public:
  /// Opens or begins `path` for the run that `identity` describes. Throws Error when the file belongs to
  /// another model or other settings (naming which), holds a line that is no record, or is in use.
  GuardStore(const std::filesystem::path& path, nlohmann::ordered_json identity);
  GuardStore(const GuardStore&) = delete;
  GuardStore& operator=(const GuardStore&) = delete;
  ~GuardStore();

  /// The row as it was answered before, or null: also when it failed, or its prompt was another.
  const GuardRecord* find(const std::string& set, const std::string& id,
                          const std::string& prompt_sha256) const;
  /// Throws Error when the disk is full.
  const GuardRecord& append(GuardRecord record);

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  void read_existing();
  void write_line(const nlohmann::ordered_json& line);

  std::filesystem::path path_;
  nlohmann::ordered_json identity_;
  int descriptor_ = -1;
  std::map<Key, GuardRecord> records_;
};

/// The records of a file that a GuardStore wrote, in its order, the last of each row; a torn line at the end
/// is passed over. `identity` receives what its first line says.
std::vector<GuardRecord> read_guard_records(const std::filesystem::path& path,
                                            nlohmann::ordered_json* identity = nullptr);
/// Whether the bytes begin as such a file does.
bool is_guard_store(std::string_view bytes) noexcept;

}  // namespace assay
