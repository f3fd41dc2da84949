#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/language_model.hpp"

namespace assay {

/// Which positions of a window are scored. The last token predicts nothing that is known.
enum class ScoredPositions : uint8_t {
  kAll,        ///< from the first token on: more evidence, and a curve over the whole window
  kSecondHalf  ///< from context/2 on, as llama-perplexity does
};

/// How a text is cut for scoring.
struct WindowOptions {
  int64_t context = 512;                       ///< tokens per window
  int64_t max_windows = 0;                     ///< 0: all
  std::optional<ScoredPositions> scored = {};  ///< none: what the measure does by itself
};

/// The text tokenized once, without special tokens, and cut into windows of exactly `context` tokens; the
/// rest is dropped. Where the tokenizer starts texts with a BOS, the whole text gets one and then the first
/// token of every window is replaced by it, as llama-perplexity does. Throws Error when not even one window
/// fills.
std::vector<std::vector<TokenId>> cut_windows(const Tokenizer& tokenizer, std::string_view text,
                                              const WindowOptions& options);

/// One text that stands on its own.
struct Document {
  std::string text{};
  std::vector<ChatMessage> messages{};  ///< a conversation whose text a chat template has yet to make
  bool with_special_tokens = false;     ///< the text has been rendered: "<|im_end|>" in it is a token
};

struct Corpus {
  std::string path{}, sha256{};  ///< of the file's bytes
  std::vector<Document> documents;
};

/// A corpus of one document.
Corpus text_corpus(std::string_view text);

/// A plain text file is one document. The rows of .jsonl, .ndjson, .json, .csv and .tsv are one each: of a
/// conversation ("messages" with role and content; "conversations" with from and value, as ShareGPT has them;
/// "turns" of a user, as MT-Bench has them, of which those count that a "reference" answers, and the first in
/// any case), else of the member "text"; with `field` of that member, text or conversation. Throws Error
/// naming file and row when a row has none of them, and for a file without any document.
Corpus read_corpus(const std::filesystem::path& path, const std::string& field = {});

/// Conversations made texts by the model's chat template; the assistant's turn is opened where the user had
/// the last word. Documents without messages stay as they are.
Corpus render_conversations(Corpus corpus, const LanguageModel& model);

/// At most `context` tokens of a document.
struct Window {
  std::vector<TokenId> tokens;
  size_t cluster = 0;  ///< windows of one document depend on each other; of a single one each stands alone
};

/// The windows of every document, in order. A single plain text is cut by cut_windows; of several documents
/// each begins with a BOS where the tokenizer starts texts with one, and the rest of a document is a shorter
/// window. Documents of a single token are passed over. Throws Error when nothing is left.
std::vector<Window> cut_corpus(const Tokenizer& tokenizer, const Corpus& corpus,
                               const WindowOptions& options);

/// The first position of a window that is scored.
int64_t first_scored(const WindowOptions& options, ScoredPositions otherwise, size_t window_tokens);

/// Throws Error when the model was not made for so many positions.
void require_context(const LanguageModel& model, int64_t positions);

}  // namespace assay
