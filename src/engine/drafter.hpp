#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/language_model.hpp"

namespace assay {

/// Guesses how one sequence goes on, so that the model can check several tokens in one pass over its weights.
/// What is guessed changes how fast an answer comes, never the answer.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// At most `most` tokens that may follow `history` (prompt and answer so far); none when it has no idea.
  virtual std::vector<TokenId> propose(std::span<const TokenId> history, int64_t most) = 0;
  /// Tells how many of the proposed tokens the model chose too.
  virtual void learn(int64_t proposed, int64_t accepted) = 0;
};

/// Looks for the longest end of the history (kLongest tokens at most) that stands in it before, latest place
/// first, and proposes up to `guess` tokens that followed there: free, and good where answers repeat their
/// prompt.
std::unique_ptr<Drafter> make_lookup_drafter(int64_t guess);

/// Lets a small model decode greedily, up to `guess` tokens: more while they are accepted, fewer when not.
/// `draft` must outlive it and serve no other sequence at the same time as its decoder runs.
std::unique_ptr<Drafter> make_model_drafter(LanguageModel& draft, int64_t guess);

/// Throws Error when the two models' token ids do not mean the same, or the draft's context is shorter than
/// it needs to be to be of use.
void require_same_vocabulary(const LanguageModel& model, const LanguageModel& draft);

}  // namespace assay
