#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/encoder.hpp"
#include "engine/encoder_linear.hpp"
#include "models/sentence_modules.hpp"

namespace assay {

/// A text, or two that belong together.
struct EncoderText {
  std::string text;
  std::optional<std::string> pair{};
};

struct EmbedOptions {
  std::optional<std::string> prompt_name{};  ///< a prompt of config_sentence_transformers.json by name
  std::optional<std::string> prompt{};       ///< or its text
  std::optional<bool> normalize{};           ///< instead of what the model's files say
  std::optional<PoolingModes> pooling{};     ///< instead of what the model's files say
};

/// Everything a path holds for embedding and classifying: weights, encoder, tokenizer, sentence-transformers
/// modules, labels.
class EncoderModel {
 public:
  /// Opens a checkpoint, an int8 or int4 directory, an MLX directory or a directory with weights.npz. Throws
  /// Error when it is no encoder, has no tokenizer, or one that does not fit its vocabulary.
  EncoderModel(const std::filesystem::path& path, const EngineOptions& options);

  const ModelFile& file() const noexcept { return *file_; }
  const ModelConfig& config() const noexcept { return file_->config(); }
  const EncoderTraits& traits() const noexcept { return *file_->config().encoder; }
  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const SentenceModules& modules() const noexcept { return modules_; }
  Encoder& encoder() noexcept { return *encoder_; }
  double load_seconds() const noexcept { return load_seconds_; }
  /// Tokens of all texts that were run so far, special tokens and prompts included.
  int64_t tokens_run() const noexcept { return tokens_run_; }

  /// Called with the number of texts finished since the last call.
  using Advance = std::function<void(size_t)>;
  /// One vector per text, in order. Pooling and normalization from the model's files unless overridden. As in
  /// sentence-transformers, the prompt stands before the text and white space around the whole is dropped.
  /// Throws Error for an unknown prompt name, or a pooling that the Dense modules cannot take.
  std::vector<std::vector<float>> embed(std::span<const EncoderText> texts, const EmbedOptions& options = {},
                                        const Advance& advance = {});
  /// One row of logits per text, in order. Throws Error when the model has no sequence head.
  std::vector<std::vector<float>> logits(std::span<const EncoderText> texts, const Advance& advance = {});
  /// One row of logits per token and text, [tokens, labels].
  std::vector<std::vector<float>> token_logits(std::span<const EncoderText> texts,
                                               const Advance& advance = {});

  /// The ids a text becomes: tokenized, truncated to max_length(), special tokens added. An empty text is its
  /// special tokens.
  Encoding tokenize(const EncoderText& text) const;
  /// Most tokens of a text, special tokens included: sentence_bert_config.json's max_seq_length, else what
  /// tokenizer.json's truncation says; never more than the model's positions.
  int64_t max_length() const noexcept { return max_length_; }
  /// Length of a vector that embed() gives.
  int64_t embedding_dim(const EmbedOptions& options = {}) const;

 private:
  PoolingModes pooling_of(const EmbedOptions& options) const;
  std::string prompt_of(const EmbedOptions& options) const;
  int64_t prompt_tokens(const std::string& prompt) const;
  std::vector<Encoding> tokenize_all(std::span<const EncoderText> texts, const std::string* prompt);
  void run_dense(std::vector<std::vector<float>>& vectors);

  std::unique_ptr<ModelFile> file_;  // stays in place: the encoder points into it
  std::unique_ptr<Tokenizer> tokenizer_;
  SentenceModules modules_;
  std::unique_ptr<Encoder> encoder_;
  std::vector<PackedLinear> dense_;  ///< of modules_.dense
  int64_t max_length_ = 0;
  double load_seconds_ = 0.0;
  int64_t tokens_run_ = 0;
};

}  // namespace assay
