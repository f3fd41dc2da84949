#pragma once
#include <string_view>
#include <vector>

#include "engine/language_model.hpp"

namespace assay {

/// How a text is cut for scoring.
struct WindowOptions {
  int64_t context = 512;    ///< tokens per window
  int64_t max_windows = 0;  ///< 0: all
};

/// The text tokenized once, without special tokens, and cut into windows of exactly `context` tokens; the
/// rest is dropped. Where the tokenizer starts texts with a BOS, the whole text gets one and then the first
/// token of every window is replaced by it, as llama-perplexity does. Throws Error when not even one window
/// fills.
std::vector<std::vector<TokenId>> cut_windows(const Tokenizer& tokenizer, std::string_view text,
                                              const WindowOptions& options);

/// Throws Error when the model was not made for so many positions.
void require_context(const LanguageModel& model, int64_t positions);

}  // namespace assay
