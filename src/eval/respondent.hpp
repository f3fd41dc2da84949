#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/generate.hpp"
#include "engine/language_model.hpp"

namespace assay {

/// A prompt as tasks pose it: a conversation, or raw text that no chat template touches.
struct Question {
  std::vector<ChatMessage> messages{};
  std::string raw{};  ///< used where there are no messages
};

/// How every candidate of a comparison decodes: the same for all, and stored with the result.
struct DecodingOptions {
  int64_t max_tokens = 512;
  double temperature = 0.0;  ///< 0: greedy
  double top_p = 1.0;
  int64_t top_k = 0;  ///< 0: all
  uint64_t seed = 0;
  std::vector<std::string> stop{};
  std::optional<bool> thinking{};  ///< the chat template's enable_thinking, where given
  bool chat_template = true;  ///< false: a conversation's contents one after another, also with a template
  std::string system{};       ///< message of the system before every conversation; needs a template
};
nlohmann::ordered_json to_json(const DecodingOptions& options);

struct Answer {
  std::string text;
  std::string finish_reason;  ///< "stop" or "length"
  int64_t prompt_tokens = 0, answer_tokens = 0;
  double prefill_seconds = 0.0, decode_seconds = 0.0;  ///< an endpoint knows only their sum: decode_seconds
  int64_t cached_tokens = 0;     ///< of prompt_tokens, those an endpoint did not compute anew
  int64_t reasoning_tokens = 0;  ///< of answer_tokens, those spent before the text, where an endpoint says so
  bool usage_known = true;       ///< false: an endpoint that counts no tokens
};

/// Anything that answers questions in text: a local model, or somebody's server.
class Respondent {
 public:
  virtual ~Respondent() = default;
  /// Throws Error when no answer can be had (prompt beyond the context, server gone).
  virtual Answer answer(const Question& question, const DecodingOptions& options) = 0;
};

/// A model that assay runs itself. A conversation goes through the model's chat template; without one its
/// contents stand one after another, separated by a line break. Exactly one BOS. Throws UsageError where a
/// system message is given and no template would carry it.
class LocalRespondent : public Respondent {
 public:
  /// `model` must outlive this.
  explicit LocalRespondent(LanguageModel& model) : model_(model) {}
  Answer answer(const Question& question, const DecodingOptions& options) override;

 private:
  LanguageModel& model_;
};

}  // namespace assay
