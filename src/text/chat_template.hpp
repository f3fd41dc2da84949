#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "io/gguf.hpp"

namespace assay {

/// A chat template: the Jinja that models carry, rendered as Jinja2 does in transformers'
/// apply_chat_template (trim_blocks, lstrip_blocks, sandboxed). No file, network or attribute access beyond
/// the given values; steps, output size and recursion are bounded.
class ChatTemplate {
 public:
  /// Throws Error with line and cause when the source is not valid.
  explicit ChatTemplate(std::string source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// From chat_template.jinja, chat_template.json or tokenizer_config.json ("default" of several); nothing
  /// when the model has none.
  static std::optional<ChatTemplate> from_directory(const std::filesystem::path& directory);
  /// The source text from_directory() would compile; nothing when the model has none.
  static std::optional<std::string> find_source(const std::filesystem::path& directory);
  static std::optional<ChatTemplate> from_gguf(const GgufMetadata& metadata);

  /// `values` holds messages, add_generation_prompt, bos_token, eos_token, tools, enable_thinking, … as the
  /// template expects them. `now` for strftime_now is values["__now"] (seconds since the epoch) or the clock.
  /// Throws Error when the template raises (raise_exception) or exceeds its bounds.
  std::string render(const nlohmann::ordered_json& values) const;

  const std::string& source() const noexcept;

 private:
  struct Compiled;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace assay
