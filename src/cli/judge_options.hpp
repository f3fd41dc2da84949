#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "eval/judge_run.hpp"

namespace assay {

/// Options by which a judge and its task are described; eval judge has them all, compare the same ones.
struct JudgeCliOptions {
  std::string judge_url, judge_model, judge_path, judge_replies, judge_requests;
  std::string api_key_env = "OPENAI_API_KEY", endpoint_key_env;
  bool api_key_named = false;
  std::string mode = "pairwise", prompts, turns = "first";
  int64_t limit = 0;
  int repeats = 3, attempts = 3, parallel = 4, retries = 6;
  int64_t control = 20, planted = 6, judge_max_tokens = 2048;
  double timeout = 300.0;
  std::optional<double> judge_temperature;
  std::optional<double> price_input, price_output, price_cached, budget;
  std::string prices;
  DecodingOptions decoding;
  std::string thinking;
  bool no_chat_template = false;
  uint64_t seed = 0;

  /// Everything but the decoding of the subjects.
  void declare_judge(CLI::App& command);
  /// --max-tokens, --temp, --top-p, --top-k, --seed, --stop, --thinking, --system, --no-chat-template.
  void declare_decoding(CLI::App& command);

  JudgeTask task() const;
  /// The judge's side of the store: model name, limits, prices. A judge on this machine costs nothing.
  JudgeOptions options() const;
  /// Who judges: an endpoint, a local model, or nobody (null: recorded replies alone). Throws UsageError
  /// where not exactly one of them is named.
  std::unique_ptr<Respondent> respondent(const EngineOptions& engine) const;
  /// A path, or "https://host/v1#model". The judge's key goes to another endpoint only where it is the same
  /// host; --endpoint-key-env names another key.
  AnswerSource source(const std::string& label, const std::string& address,
                      const EngineOptions& engine) const;
  /// What --judge-replies recorded; nothing without it.
  std::vector<nlohmann::ordered_json> recorded_replies() const;

 private:
  HttpOptions http() const;
  std::string judge_key() const;
};

/// The log `name` in `folder`, which is made where it is missing; in memory where `folder` is empty.
std::unique_ptr<RecordLog> open_record_log(const std::filesystem::path& folder, const char* name);

/// Labels for addresses: their last part, or the whole where two would be the same.
std::vector<std::string> subject_labels(const std::vector<std::string>& addresses);

}  // namespace assay
