#include "cli/prompt.hpp"

#include "base/error.hpp"
#include "cli/options.hpp"

namespace assay {

void PromptOptions::declare(CLI::App& command) {
  command.add_option("--system", system, "system message for the chat template");
  command.add_option("--thinking", thinking, "on or off, for models whose template can switch it")
      ->check(CLI::IsMember({"on", "off"}));
  command.add_flag("--no-chat-template", no_chat_template, "feed the text as it is");
  SamplingOptions& sampling = generate.sampling;
  command.add_option("--temp", sampling.temperature, "temperature; 0 is greedy (default)");
  command.add_option("--top-k", sampling.top_k, "keep the k most likely tokens; 0 keeps all");
  command.add_option("--top-p", sampling.top_p, "keep the smallest set that reaches this probability");
  command.add_option("--min-p", sampling.min_p, "drop tokens below this share of the best one's probability");
  command.add_option("--repeat-penalty", sampling.repeat_penalty,
                     "make tokens already seen less likely; 1 is off");
  command.add_option("--seed", sampling.seed, "seed of the random choice (default 0)")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--stop", generate.stop, "end the answer before this text (repeatable)");
  command.add_option("--max-tokens", generate.max_tokens, "tokens to generate at most (default 256)")
      ->check(kCount);
  command.add_option("--ctx", generate.context, "positions to make room for (default: prompt + max tokens)")
      ->check(kCount);
}

std::optional<bool> PromptOptions::thinking_switch() const {
  if (thinking.empty()) return std::nullopt;
  return thinking == "on";
}

std::vector<ChatMessage> PromptOptions::first_messages() const {
  if (system.empty()) return {};
  return {{"system", system}};
}

void PromptOptions::refuse_unused(const LanguageModel& model) const {
  if (system.empty() && thinking.empty()) return;
  const std::string option = system.empty() ? "--thinking" : "--system";
  throw UsageError({option + " needs a chat template",
                    no_chat_template ? std::string() : model.file().path().string(),
                    {},
                    no_chat_template ? "--no-chat-template" : "a model without one",
                    "the text alone can say the same"});
}

std::vector<TokenId> PromptOptions::tokenize(const LanguageModel& model,
                                             const std::vector<ChatMessage>& messages) const {
  if (no_chat_template || model.chat_template() == nullptr) {
    refuse_unused(model);
    std::string text;
    for (const ChatMessage& message : messages)
      text += message.content + (message.role == "user" ? "" : "\n");
    return model.tokenizer().encode(text);
  }
  // The template writes its own special tokens, BOS included; transformers adds none here either.
  return model.tokenizer().encode(render_chat(model, messages, thinking_switch()), {.add_special = false});
}

std::vector<TokenId> PromptOptions::tokenize(const LanguageModel& model, const std::string& text) const {
  std::vector<ChatMessage> messages = first_messages();
  messages.push_back({"user", text});
  return tokenize(model, messages);
}

}  // namespace assay
