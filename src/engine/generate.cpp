#include "engine/generate.hpp"

#include <bit>

#include "engine/batch.hpp"

namespace assay {

std::string_view finish_reason_name(FinishReason reason) noexcept {
  return reason == FinishReason::kEndToken || reason == FinishReason::kStopText ? "stop" : "length";
}

double Generation::prefill_tokens_per_second() const noexcept {
  return prefill_seconds > 0 ? static_cast<double>(prompt_tokens - cached_tokens) / prefill_seconds : 0.0;
}

double Generation::decode_tokens_per_second() const noexcept {
  return decode_seconds > 0 && tokens.size() > 1 ? static_cast<double>(tokens.size() - 1) / decode_seconds
                                                 : 0.0;
}

uint64_t hash_logits(std::span<const float> logits) noexcept {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const float value : logits) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 255u)) * 0x100000001b3u;
  }
  return hash;
}

Generation generate(LanguageModel& model, std::span<const TokenId> prompt, const GenerateOptions& options,
                    const std::function<void(std::string_view)>& on_text) {
  const BatchRequest request[] = {{.prompt = {prompt.begin(), prompt.end()}, .options = options}};
  BatchOptions batch;
  if (on_text) batch.on_text = [&](size_t, std::string_view text) { on_text(text); };
  return std::move(generate_batch(model, request, batch).front());
}

}  // namespace assay
