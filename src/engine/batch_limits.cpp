#include "engine/batch_limits.hpp"

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "engine/memory_estimate.hpp"

namespace assay {

int64_t context_of(const LanguageModel& model, const BatchRequest& request, const std::string& where) {
  const int64_t limit = model.config().max_context, wanted = request.options.context;
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (request.prompt.empty()) throw Error({"no tokens to run", where, {}, {}, {}});
  if (wanted > limit)
    throw Error({"the model was not made for such a context",
                 {},
                 "at most " + std::to_string(limit),
                 std::to_string(wanted),
                 {}});
  const int64_t context = std::min(limit, wanted > 0 ? wanted : prompt + request.options.max_tokens);
  if (prompt > context)
    throw Error({"the text is longer than the context",
                 where,
                 "at most " + std::to_string(context) + " tokens",
                 std::to_string(prompt),
                 {}});
  return context;
}

void require_batch_memory(LanguageModel& model, std::span<const BatchRequest> requests,
                          std::span<const int64_t> contexts, int64_t batch) {
  std::vector<int64_t> held;
  for (size_t i = 0; i < requests.size(); ++i) {
    const int64_t caches = requests[i].samples + (requests[i].samples > 1 ? 1 : 0);  // the prompt's own
    held.insert(held.end(), static_cast<size_t>(std::min(caches, batch + 1)), contexts[i]);
  }
  if (held.empty()) return;
  std::sort(held.rbegin(), held.rend());
  const bool forks = held.size() > requests.size();
  held.resize(std::min(held.size(), static_cast<size_t>(batch + (forks ? 1 : 0))));
  const KvFormat kv = model.decoder().kv_format();
  MemoryEstimate estimate = estimate_memory(model.config(), footprint_of(model.file()),
                                            {.context = held.front(),
                                             .sequences = static_cast<int64_t>(held.size()),
                                             .threads = model.decoder().threads(),
                                             .kv = kv});
  estimate.kv_bytes = 0;
  for (const int64_t positions : held)
    estimate.kv_bytes += static_cast<uint64_t>(positions) * KvCache::bytes_per_position(model.config(), kv);
  require_memory(estimate, model.file().path().string());
}

}  // namespace assay
