#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/decoder.hpp"
#include "models/model_file.hpp"
#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"

namespace assay {

/// Everything a path holds for generating text: weights, decoder, tokenizer, chat template, stop rules.
class LanguageModel {
 public:
  /// Opens a Hugging Face or MLX directory or a GGUF file. Throws Error when it has no tokenizer or one that
  /// does not fit the vocabulary.
  LanguageModel(const std::filesystem::path& path, const EngineOptions& options);

  const ModelFile& file() const noexcept { return *file_; }
  const ModelConfig& config() const noexcept { return file_->config(); }
  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  /// The chat template, or nullptr when the model has none. Compiled when first asked for, so that a broken
  /// one stops only those who need it: throws Error then.
  const ChatTemplate* chat_template() const;
  Decoder& decoder() noexcept { return *decoder_; }
  /// Ids that end a text: config, generation config and tokenizer together.
  const std::vector<TokenId>& end_ids() const noexcept { return end_ids_; }
  double load_seconds() const noexcept { return load_seconds_; }
  uint64_t weight_bytes() const noexcept { return file_->weight_bytes(); }

 private:
  std::unique_ptr<ModelFile> file_;  // stays in place: the decoder points into it
  std::unique_ptr<Tokenizer> tokenizer_;
  mutable std::once_flag template_opened_;
  mutable std::optional<ChatTemplate> template_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<TokenId> end_ids_;
  double load_seconds_ = 0.0;
};

struct ChatMessage {
  std::string role;
  std::string content;
};

/// The prompt text a chat template makes of messages, with the turn of the assistant opened. `thinking` sets
/// the template's enable_thinking where given. Throws Error when the model has no chat template.
std::string render_chat(const LanguageModel& model, const std::vector<ChatMessage>& messages,
                        std::optional<bool> thinking);
/// The same, with the assistant's turn opened only where `opens_turn` says so: for transcripts.
std::string render_conversation(const LanguageModel& model, const std::vector<ChatMessage>& messages,
                                std::optional<bool> thinking, bool opens_turn);

}  // namespace assay
