#include "engine/memory_estimate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/memory.hpp"
#include "engine/kv_cache.hpp"

namespace assay {
namespace {

/// Tokens of a prompt that are run together (engine/decoder.cpp).
constexpr int64_t kChunk = 512;
/// Code, libraries and the allocator's own; of a run of a model of some kilobytes.
constexpr uint64_t kProgramBytes = uint64_t{16} << 20;
/// Of a byte-level BPE vocabulary with its merges: 55 MB for the 151,936 entries of Qwen3's.
constexpr uint64_t kVocabularyEntryBytes = 360;
/// Weights unpacked for one thread's products (kernels/avx512).
constexpr uint64_t kPanelBytes = uint64_t{1} << 20;

/// Buffers of one step: the decoder's workspace, the activations as codes, and scores of a group of queries.
uint64_t activation_bytes(const ModelConfig& config, const RunShape& run) {
  const int64_t tokens = std::max(std::min(run.context, kChunk), run.sequences);
  const int64_t q = config.n_heads * config.head_dim, kv = config.n_kv_heads * config.head_dim;
  const int64_t floats = 3 * config.hidden_dim + 2 * q + 2 * kv + 2 * config.ffn_dim;
  const int64_t widest = std::max({config.hidden_dim, q, config.ffn_dim});
  const auto step = static_cast<uint64_t>(tokens * (4 * floats + widest + widest / 32 * 8));
  const auto logits = static_cast<uint64_t>(4 * config.vocab_size * run.sequences);
  const auto scores = static_cast<uint64_t>(4 * (config.n_heads / config.n_kv_heads) * run.context);
  return step + logits + static_cast<uint64_t>(run.threads) * (scores + kPanelBytes);
}

}  // namespace

MemoryEstimate estimate_memory(const ModelConfig& config, const Footprint& footprint, const RunShape& run) {
  const auto positions = static_cast<uint64_t>(run.context * run.sequences);
  return {.weight_bytes = footprint.weight_bytes,
          .kv_bytes = positions * KvCache::bytes_per_position(config, run.kv),
          .overhead_bytes = activation_bytes(config, run) + kProgramBytes +
                            kVocabularyEntryBytes * static_cast<uint64_t>(config.vocab_size)};
}

void require_memory(const MemoryEstimate& estimate, const std::string& where) {
  const uint64_t available = available_memory_bytes();
  if (available == 0 || estimate.total() <= available) return;
  const auto gigabytes = [](uint64_t bytes) {
    return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
  };
  throw Error({"does not fit into memory", where,
               fmt::format("at most {} (available on this machine)", gigabytes(available)),
               fmt::format("{} (weights {}, KV cache {}, overhead {})", gigabytes(estimate.total()),
                           gigabytes(estimate.weight_bytes), gigabytes(estimate.kv_bytes),
                           gigabytes(estimate.overhead_bytes)),
               "fewer bits, or a shorter context"});
}

double decode_limit(const ModelConfig& config, const Footprint& footprint, KvFormat kv, int64_t context,
                    double bandwidth) {
  const uint64_t positions = kv_bytes_read(config, kv, std::max<int64_t>(context, 1) - 1, 1);
  return bandwidth / static_cast<double>(footprint.decoded_bytes + positions);
}

}  // namespace assay
