#include "eval/corpus.hpp"

#include <string>

#include "base/error.hpp"

namespace assay {

std::vector<std::vector<TokenId>> cut_windows(const Tokenizer& tokenizer, std::string_view text,
                                              const WindowOptions& options) {
  if (options.context < 4)
    throw UsageError(
        {"the window is too short", {}, "at least 4 tokens", std::to_string(options.context), {}});
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

void require_context(const LanguageModel& model, int64_t positions) {
  const int64_t limit = model.config().max_context;
  if (positions > limit)
    throw Error({"the windows are longer than the model's context", model.file().path().string(),
                 "at most " + std::to_string(limit) + " tokens", std::to_string(positions),
                 "a smaller --ctx fits"});
}

}  // namespace assay
