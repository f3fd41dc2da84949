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
  /// The conversation so far, before any turn of the user: the system message where there is one.
  std::vector<ChatMessage> first_messages() const;
  /// Token ids of a conversation: through the model's chat template when it has one and it is wanted, else
  /// the texts one after another, each answer where it was given and ended by a line break, with the
  /// tokenizer's own special tokens. Exactly one BOS either way. Throws UsageError when --system or
  /// --thinking is given and there is no template to carry it.
  std::vector<TokenId> tokenize(const LanguageModel& model, const std::vector<ChatMessage>& messages) const;
  /// The same for a single turn of the user.
  std::vector<TokenId> tokenize(const LanguageModel& model, const std::string& text) const;

 private:
  void refuse_unused(const LanguageModel& model) const;
};

}  // namespace assay
