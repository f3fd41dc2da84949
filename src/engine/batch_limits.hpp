#pragma once
#include <span>
#include <string>

#include "engine/batch.hpp"

namespace assay {

/// Positions of a request's cache. Throws Error when the prompt or the wanted context does not fit; `where`
/// names the prompt among several.
int64_t context_of(const LanguageModel& model, const BatchRequest& request, const std::string& where);

/// Throws Error unless the weights and the largest caches that can be held at once, of `contexts` positions
/// each, fit into memory.
void require_batch_memory(LanguageModel& model, std::span<const BatchRequest> requests,
                          std::span<const int64_t> contexts, int64_t batch);

}  // namespace assay
