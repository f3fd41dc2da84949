#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/language_model.hpp"
#include "engine/sampler.hpp"

namespace assay {

struct GenerateOptions {
  SamplingOptions sampling{};
  int64_t max_tokens = 256;
  int64_t context = 0;              ///< positions of the KV cache; 0: what prompt and max_tokens need
  std::vector<std::string> stop{};  ///< texts that end the answer; they are not part of it
};

enum class FinishReason { kEndToken, kStopText, kMaxTokens, kContextFull };
/// "stop", "stop", "length", "length": OpenAI's words, with the cause in the longer form.
std::string_view finish_reason_name(FinishReason reason) noexcept;

struct Generation {
  std::string text;
  std::vector<TokenId> tokens;  ///< generated ids, the end token included
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  ///< of the prompt, that were not computed: another sample's or a saved cache's
  FinishReason finish = FinishReason::kMaxTokens;
  double prefill_seconds = 0.0;  ///< prompt to first logits, other sequences' share of the passes included
  double decode_seconds = 0.0;   ///< after the first token, likewise
  uint64_t logits_hash = 0;      ///< FNV-1a of the last logits' bits
  uint64_t kv_bytes = 0;
  int64_t drafted = 0, accepted = 0;  ///< tokens guessed ahead, and those of them that were right

  double prefill_tokens_per_second() const noexcept;
  /// Tokens after the first one per second of decoding; 0 when there were none.
  double decode_tokens_per_second() const noexcept;
};

/// Continues `prompt`. `on_text` receives the text as it becomes certain (never part of a stop text).
Generation generate(LanguageModel& model, std::span<const TokenId> prompt, const GenerateOptions& options,
                    const std::function<void(std::string_view)>& on_text = {});

/// FNV-1a, 64 bit, over the bits of the values: the same for the same logits and nothing else.
uint64_t hash_logits(std::span<const float> logits) noexcept;

}  // namespace assay
