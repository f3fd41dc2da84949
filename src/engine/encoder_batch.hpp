#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.hpp"

namespace assay {

/// Texts that run together, laid end to end without padding.
struct EncoderBatch {
  std::vector<size_t> texts;   ///< indexes into the caller's texts, longest first
  std::vector<int64_t> begin;  ///< first token of each text; one more for the end of the last

  int64_t tokens() const noexcept { return begin.back(); }
  int64_t count() const noexcept { return static_cast<int64_t>(texts.size()); }
  int64_t length(int64_t text) const noexcept {
    return begin[static_cast<size_t>(text) + 1] - begin[static_cast<size_t>(text)];
  }
};

/// How a set of texts is run.
struct EncoderPlan {
  std::vector<EncoderBatch> batches;
  bool one_thread_each = false;  ///< a batch per thread at a time, instead of all threads on one
  int64_t longest = 0;           ///< tokens
};

/// Sorts texts by length and cuts them into batches of about equal size. Results do not depend on the plan.
EncoderPlan plan_batches(std::span<const Encoding> texts, int threads);

}  // namespace assay
