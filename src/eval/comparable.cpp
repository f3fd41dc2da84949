// What must be the same before two models' predictions may be compared.
#include <algorithm>

#include "base/error.hpp"
#include "eval/divergence.hpp"

namespace assay {
namespace {

[[noreturn]] void refuse(const LanguageModel& candidate, const std::string& what, const std::string& expected,
                         const std::string& found, const std::string& cause = {}) {
  throw Error({"cannot be compared: " + what, candidate.file().path().string(), expected, found, cause});
}

std::string show_token(const Tokenizer& tokenizer, TokenId id) {
  return '"' + std::string(tokenizer.token(id)) + '"';
}

/// "none", or the token that begins every text.
std::string bos_of(const Tokenizer& tokenizer) {
  if (!tokenizer.adds_bos() || !tokenizer.bos_id()) return "none";
  return "token " + std::to_string(*tokenizer.bos_id()) + ", " + show_token(tokenizer, *tokenizer.bos_id());
}

/// Containers may write one token in two ways ("▁▁" for two spaces), so what counts is the text it stands
/// for.
bool same_token(const Tokenizer& a, const Tokenizer& b, TokenId id) {
  if (a.token(id) == b.token(id)) return true;
  const TokenId one[] = {id};
  return a.decode(one, false) == b.decode(one, false);
}

}  // namespace

void require_comparable(const LanguageModel& reference, const LanguageModel& candidate,
                        const Corpus& rendered, std::span<const Window> windows,
                        const WindowOptions& options) {
  const auto width = [](const LanguageModel& model) { return model.config().vocab_size; };
  if (width(reference) != width(candidate))
    refuse(candidate, "the vocabularies differ", std::to_string(width(reference)) + " tokens",
           std::to_string(width(candidate)), "padded to another length, or another model");
  const Tokenizer &ours = reference.tokenizer(), &theirs = candidate.tokenizer();
  if (bos_of(ours) != bos_of(theirs))
    refuse(candidate, "texts begin with another token (BOS)", bos_of(ours), bos_of(theirs));
  // Ids beyond a tokenizer's own are padding there, whatever a container calls them ("[PAD151665]").
  const auto shared = static_cast<TokenId>(std::min(ours.vocab_size(), theirs.vocab_size()));
  for (TokenId id = 0; id < shared; ++id)
    if (!same_token(ours, theirs, id))
      refuse(candidate, "the tokenizers differ", "token " + std::to_string(id) + " = " + show_token(ours, id),
             show_token(theirs, id));
  const std::vector<Window> found = cut_corpus(theirs, rendered, options);
  if (!std::equal(found.begin(), found.end(), windows.begin(), windows.end(),
                  [](const Window& a, const Window& b) { return a.tokens == b.tokens; }))
    refuse(candidate, "the tokenizers differ", "the reference's token ids for this corpus", "others",
           "the same vocabulary, split or merged in another way");
}

}  // namespace assay
