#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/generate.hpp"

namespace assay {

/// Options of generate and chat: what the model is given and how its answer is chosen.
struct PromptOptions {
  std::string system;
  std::string thinking;  ///< "", "on" or "off"
  bool no_chat_template = false;
  GenerateOptions generate;

  void declare(CLI::App& command);
  std::optional<bool> thinking_switch() const;
  /// Token ids of a single user turn: through the model's chat template when it has one and it is wanted,
  /// else the text as it is with the tokenizer's own special tokens. Exactly one BOS either way.
  std::vector<TokenId> tokenize(const LanguageModel& model, const std::string& text) const;
  /// The same for a whole conversation; needs a chat template.
  std::vector<TokenId> tokenize(const LanguageModel& model, const std::vector<ChatMessage>& messages) const;
};

}  // namespace assay
