#include "eval/respondent.hpp"

#include "base/error.hpp"

namespace assay {
namespace {

std::vector<TokenId> tokenize(const LanguageModel& model, const Question& question,
                              const DecodingOptions& options) {
  if (question.messages.empty()) return model.tokenizer().encode(question.raw);
  const bool templated = options.chat_template && model.chat_template() != nullptr;
  if (!templated && !options.system.empty())
    throw UsageError({"--system needs a chat template",
                      model.file().path().string(),
                      {},
                      options.chat_template ? "a model without one" : "--no-chat-template",
                      "the prompts can say the same"});
  if (templated)
    // The template writes its own special tokens, BOS included.
    return model.tokenizer().encode(render_chat(model, question.messages, options.thinking),
                                    {.add_special = false});
  std::string text;
  for (const ChatMessage& message : question.messages) text += (text.empty() ? "" : "\n") + message.content;
  return model.tokenizer().encode(text);
}

}  // namespace

nlohmann::ordered_json to_json(const DecodingOptions& options) {
  nlohmann::ordered_json json = {
      {"max_tokens", options.max_tokens},
      {"temperature", options.temperature},
      {"top_p", options.top_p},
      {"top_k", options.top_k},
      {"seed", options.seed},
      {"stop", options.stop},
      {"thinking", options.thinking ? nlohmann::ordered_json(*options.thinking) : nullptr}};
  // Only where they say something: stored answers are found by these words.
  if (!options.chat_template) json["chat_template"] = false;
  if (!options.system.empty()) json["system"] = options.system;
  return json;
}

Answer LocalRespondent::answer(const Question& question, const DecodingOptions& options) {
  const GenerateOptions generating{.sampling = {.temperature = static_cast<float>(options.temperature),
                                                .top_k = options.top_k,
                                                .top_p = static_cast<float>(options.top_p),
                                                .seed = options.seed},
                                   .max_tokens = options.max_tokens,
                                   .stop = options.stop};
  Generation made = generate(model_, tokenize(model_, question, options), generating);
  return {.text = std::move(made.text),
          .finish_reason = std::string(finish_reason_name(made.finish)),
          .prompt_tokens = made.prompt_tokens,
          .answer_tokens = static_cast<int64_t>(made.tokens.size()),
          .prefill_seconds = made.prefill_seconds,
          .decode_seconds = made.decode_seconds};
}

}  // namespace assay
