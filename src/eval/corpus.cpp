#include "eval/corpus.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace assay {
namespace {

/// Whether no part of the corpus can be told from another by more than its place.
bool is_single_text(const Corpus& corpus) {
  return corpus.documents.size() == 1 && !corpus.documents.front().with_special_tokens;
}

/// The document's tokens, begun with the BOS that the tokenizer gives every text, unless it is there already.
std::vector<TokenId> tokenize(const Tokenizer& tokenizer, const Document& document) {
  ASSAY_CHECK(document.messages.empty());  // rendered
  std::vector<TokenId> tokens =
      tokenizer.encode(document.text, {.add_special = false, .parse_special = document.with_special_tokens});
  const bool with_bos = tokenizer.adds_bos() && tokenizer.bos_id().has_value();
  if (with_bos && (tokens.empty() || tokens.front() != *tokenizer.bos_id()))
    tokens.insert(tokens.begin(), *tokenizer.bos_id());
  return tokens;
}

/// Windows of a document; those after the first begin with a BOS in the place of their first token.
void append_windows(const std::vector<TokenId>& tokens, const Tokenizer& tokenizer, size_t context,
                    size_t cluster, std::vector<Window>& windows) {
  const bool with_bos = tokenizer.adds_bos() && tokenizer.bos_id().has_value();
  for (size_t begin = 0; begin + 2 <= tokens.size(); begin += context) {
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
    const size_t count = std::min(context, tokens.size() - begin);
    windows.push_back({{first, first + static_cast<std::ptrdiff_t>(count)}, cluster});
    if (with_bos && begin > 0) windows.back().tokens.front() = *tokenizer.bos_id();
  }
}

void require_window_length(int64_t context) {
  if (context < 4)
    throw UsageError({"the window is too short", {}, "at least 4 tokens", std::to_string(context), {}});
}

}  // namespace

std::vector<std::vector<TokenId>> cut_windows(const Tokenizer& tokenizer, std::string_view text,
                                              const WindowOptions& options) {
  require_window_length(options.context);
  const bool with_bos = tokenizer.adds_bos() && tokenizer.bos_id().has_value();
  std::vector<TokenId> tokens;
  if (with_bos) tokens.push_back(*tokenizer.bos_id());
  const std::vector<TokenId> body = tokenizer.encode(text, {.add_special = false, .parse_special = false});
  tokens.insert(tokens.end(), body.begin(), body.end());
  const auto context = static_cast<size_t>(options.context);
  if (tokens.size() < context)
    throw Error({"the text is too short",
                 {},
                 "at least " + std::to_string(context) + " tokens",
                 std::to_string(tokens.size()),
                 "use a longer text or a smaller --ctx"});
  std::vector<std::vector<TokenId>> windows;
  for (size_t begin = 0; begin + context <= tokens.size(); begin += context) {
    if (options.max_windows > 0 && windows.size() == static_cast<size_t>(options.max_windows)) break;
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
    windows.emplace_back(first, first + static_cast<std::ptrdiff_t>(context));
    if (with_bos) windows.back().front() = *tokenizer.bos_id();
  }
  return windows;
}

Corpus text_corpus(std::string_view text) {
  Corpus corpus;
  corpus.documents.push_back({.text = std::string(text)});
  return corpus;
}

std::vector<Window> cut_corpus(const Tokenizer& tokenizer, const Corpus& corpus,
                               const WindowOptions& options) {
  require_window_length(options.context);
  std::vector<Window> windows;
  if (is_single_text(corpus)) {
    for (auto& tokens : cut_windows(tokenizer, corpus.documents.front().text, options))
      windows.push_back({std::move(tokens), windows.size()});
    return windows;
  }
  for (size_t i = 0; i < corpus.documents.size(); ++i) {
    if (options.max_windows > 0 && windows.size() >= static_cast<size_t>(options.max_windows)) break;
    append_windows(tokenize(tokenizer, corpus.documents[i]), tokenizer, static_cast<size_t>(options.context),
                   i, windows);
  }
  if (options.max_windows > 0)
    windows.resize(std::min(windows.size(), static_cast<size_t>(options.max_windows)));
  if (windows.empty()) throw Error("no document of the corpus has two tokens");
  const bool one_document = windows.front().cluster == windows.back().cluster;
  for (size_t i = 0; one_document && i < windows.size(); ++i) windows[i].cluster = i;
  return windows;
}

int64_t first_scored(const WindowOptions& options, ScoredPositions otherwise, size_t window_tokens) {
  if (options.scored.value_or(otherwise) == ScoredPositions::kAll) return 0;
  // Half of what the window is, so that short documents are scored too.
  return static_cast<int64_t>(window_tokens) / 2;
}

void require_context(const LanguageModel& model, int64_t positions) {
  const int64_t limit = model.config().max_context;
  if (positions > limit)
    throw Error({"the windows are longer than the model's context", model.file().path().string(),
                 "at most " + std::to_string(limit) + " tokens", std::to_string(positions),
                 "a smaller --ctx fits"});
}

}  // namespace assay
