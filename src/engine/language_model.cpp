#include "engine/language_model.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/stopwatch.hpp"

namespace assay {
namespace {

Tokenizer open_tokenizer(const ModelFile& file) {
  return file.gguf() != nullptr ? Tokenizer::from_gguf(file.gguf()->metadata())
                                : Tokenizer::from_directory(file.path());
}

std::optional<ChatTemplate> open_template(const ModelFile& file) {
  return file.gguf() != nullptr ? ChatTemplate::from_gguf(file.gguf()->metadata())
                                : ChatTemplate::from_directory(file.path());
}

std::vector<TokenId> gather_end_ids(const ModelConfig& config, const Tokenizer& tokenizer) {
  std::vector<TokenId> ids(config.eos_ids.begin(), config.eos_ids.end());
  for (const TokenId id : tokenizer.end_ids()) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string token_text(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.token(*id)) : std::string();
}

}  // namespace

LanguageModel::LanguageModel(const std::filesystem::path& path, const EngineOptions& options) {
  const Stopwatch load;
  file_ = std::make_unique<ModelFile>(ModelFile::open(path));
  if (file_->config().encoder)
    throw Error({"an encoder writes no text", path.string(), "a language model", file_->config().architecture,
                 "use embed or classify"});
  tokenizer_ = std::make_unique<Tokenizer>(open_tokenizer(*file_));
  if (tokenizer_->vocab_size() > file_->config().vocab_size)
    throw Error({"the tokenizer does not fit the model", path.string(),
                 "at most " + std::to_string(file_->config().vocab_size) + " tokens",
                 std::to_string(tokenizer_->vocab_size()), "tokenizer of another model?"});
  decoder_ = std::make_unique<Decoder>(*file_, options);
  end_ids_ = gather_end_ids(file_->config(), *tokenizer_);
  load_seconds_ = load.seconds();
}

const ChatTemplate* LanguageModel::chat_template() const {
  std::call_once(template_opened_, [&] { template_ = open_template(*file_); });
  return template_ ? &*template_ : nullptr;
}

std::string render_chat(const LanguageModel& model, const std::vector<ChatMessage>& messages,
                        std::optional<bool> thinking) {
  return render_conversation(model, messages, thinking, true);
}

std::string render_conversation(const LanguageModel& model, const std::vector<ChatMessage>& messages,
                                std::optional<bool> thinking, bool opens_turn) {
  if (model.chat_template() == nullptr)
    throw Error({"the model has no chat template",
                 model.file().path().string(),
                 {},
                 {},
                 "use --no-chat-template to feed the text as it is"});
  nlohmann::ordered_json values;
  values["messages"] = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages)
    values["messages"].push_back({{"role", message.role}, {"content", message.content}});
  values["add_generation_prompt"] = opens_turn;
  values["bos_token"] = token_text(model.tokenizer(), model.tokenizer().bos_id());
  values["eos_token"] = token_text(model.tokenizer(), model.tokenizer().eos_id());
  if (thinking) values["enable_thinking"] = *thinking;
  return model.chat_template()->render(values);
}

}  // namespace assay
