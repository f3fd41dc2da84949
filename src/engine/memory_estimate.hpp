#pragma once
#include <cstdint>
#include <string>

#include "engine/footprint.hpp"

namespace assay {

/// What running a model takes from memory, known before it is opened.
struct MemoryEstimate {
  uint64_t weight_bytes = 0;    ///< pages of the mapped files
  uint64_t kv_bytes = 0;        ///< keys and values of the whole context
  uint64_t overhead_bytes = 0;  ///< activations of one step, the vocabulary, the program

  uint64_t total() const noexcept { return weight_bytes + kv_bytes + overhead_bytes; }
};

/// A run: so many sequences at once, each with a cache of `context` positions of its own.
struct RunShape {
  int64_t context = 0;
  int64_t sequences = 1;
  int threads = 1;
  KvFormat kv = KvFormat::kF16;
};

/// The largest resident set of a run that fills the context. The caches and activations follow from shapes;
/// the vocabulary and the program are measured constants.
MemoryEstimate estimate_memory(const ModelConfig& config, const Footprint& footprint, const RunShape& run);

/// Throws Error, one line, when so much does not fit into what this machine has left; nothing is thrown where
/// the system does not tell how much that is. `where` names the model in the line.
void require_memory(const MemoryEstimate& estimate, const std::string& where);

/// Tokens per second at which decoding at position `context` reads all it must at `bandwidth` bytes per
/// second. No arithmetic makes it faster.
double decode_limit(const ModelConfig& config, const Footprint& footprint, KvFormat kv, int64_t context,
                    double bandwidth);

}  // namespace assay
