#include "engine/decoder.hpp"

#include <algorithm>
#include <limits>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "engine/attention.hpp"
#include "engine/decoder_weights.hpp"
#include "engine/linear.hpp"
#include "engine/rope.hpp"
#include "kernels/kernels.hpp"

namespace assay {
namespace {

/// Tokens run together, for which every weight is unpacked once; bounds the activations' memory. Logits do
/// not depend on it.
constexpr int64_t kChunk = 512;
/// Tokens whose logits are held together in forward_all.
constexpr int64_t kLogitsChunk = 16;

/// Buffers of one step; [tokens, …] rows each.
struct Workspace {
  AlignedVector<float> hidden;    ///< residual stream, [tokens, hidden_dim]
  AlignedVector<float> normed;    ///< [tokens, hidden_dim]
  AlignedVector<float> queries;   ///< [tokens, n_heads · head_dim]
  AlignedVector<float> keys;      ///< [tokens, n_kv_heads · head_dim]
  AlignedVector<float> values;    ///< [tokens, n_kv_heads · head_dim]
  AlignedVector<float> attended;  ///< [tokens, n_heads · head_dim]
  AlignedVector<float> gate, up;  ///< [tokens, ffn_dim]
  AlignedVector<float> added;     ///< [tokens, hidden_dim], what a sublayer adds to the stream
  AlignedVector<float> logits;
  Activations activations;

  void resize(const ModelConfig& config, int64_t tokens) {
    const auto fit = [&](AlignedVector<float>& buffer, int64_t width) {
      buffer.resize(static_cast<size_t>(tokens * width));
    };
    for (auto* buffer : {&hidden, &normed, &added}) fit(*buffer, config.hidden_dim);
    for (auto* buffer : {&queries, &attended}) fit(*buffer, config.n_heads * config.head_dim);
    for (auto* buffer : {&keys, &values}) fit(*buffer, config.n_kv_heads * config.head_dim);
    for (auto* buffer : {&gate, &up}) fit(*buffer, config.ffn_dim);
  }
};

}  // namespace

struct Decoder::State {
  const ModelFile& model;
  Compute compute;
  const KernelTable& kernels;
  DecoderWeights weights;
  ThreadPool pool;
  RopeFrequencies frequencies;
  Workspace work;

  State(const ModelFile& opened, const EngineOptions& options)
      : model(opened),
        compute(options.compute),
        kernels(assay::kernels()),
        weights(gather_weights(opened)),
        pool(options.threads > 0 ? options.threads : count_physical_cores()),
        frequencies(rope_frequencies(opened.config().rope, 0)) {}

  const ModelConfig& config() const { return model.config(); }

  void norm_rows(const float* x, const std::vector<float>& weight, int64_t tokens, float* out) {
    const int64_t dim = config().hidden_dim;
    pool.run_ranges(tokens, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        kernels.rms_norm(x + t * dim, weight.data(), static_cast<float>(config().norm_eps), dim,
                         out + t * dim);
    });
  }

  void run_linear(std::span<const LinearJob> jobs, const float* x, int64_t tokens, int64_t cols) {
    work.activations.set(x, tokens, cols, compute, kernels, pool);
    multiply(jobs, work.activations, compute, kernels, pool);
  }

  void add_to_stream(int64_t tokens) {
    const int64_t count = tokens * config().hidden_dim;
    for (int64_t i = 0; i < count; ++i)
      work.hidden[static_cast<size_t>(i)] += work.added[static_cast<size_t>(i)];
  }

  void embed(std::span<const TokenId> tokens) {
    const WeightView& table = weights.token_embedding;
    for (size_t t = 0; t < tokens.size(); ++t) {
      if (tokens[t] < 0 || tokens[t] >= table.rows)
        throw Error({"token id outside the vocabulary",
                     {},
                     "below " + std::to_string(table.rows),
                     std::to_string(tokens[t]),
                     "tokenizer of another model?"});
      kernels.dequantize_row(table.format, packed_row(table, tokens[t]), table.cols,
                             work.hidden.data() + static_cast<int64_t>(t) * table.cols);
    }
  }

  std::vector<RopeAngles> angles_of(int64_t first, int64_t tokens) {
    if (config().rope.scaling == RopeConfig::Scaling::kDynamicNtk)
      frequencies = rope_frequencies(config().rope, first + tokens);
    std::vector<RopeAngles> angles;
    for (int64_t t = 0; t < tokens; ++t) angles.push_back(rope_angles(frequencies, first + t));
    return angles;
  }

  void run_attention(int64_t layer, int64_t tokens, const std::vector<RopeAngles>& angles, KvCache& cache) {
    const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
    const int64_t q_width = config().n_heads * config().head_dim,
                  kv_width = config().n_kv_heads * config().head_dim;
    norm_rows(work.hidden.data(), w.attn_norm, tokens, work.normed.data());
    const LinearJob projections[] = {{&w.q, work.queries.data(), q_width},
                                     {&w.k, work.keys.data(), kv_width},
                                     {&w.v, work.values.data(), kv_width}};
    run_linear(projections, work.normed.data(), tokens, config().hidden_dim);
    attend({.layer = layer,
            .tokens = tokens,
            .queries = work.queries.data(),
            .keys = work.keys.data(),
            .values = work.values.data(),
            .q_norm = w.q_norm.empty() ? nullptr : w.q_norm.data(),
            .k_norm = w.k_norm.empty() ? nullptr : w.k_norm.data(),
            .angles = &angles,
            .out = work.attended.data()},
           config(), cache, kernels, pool);
    const LinearJob output[] = {{&w.o, work.added.data(), config().hidden_dim}};
    run_linear(output, work.attended.data(), tokens, q_width);
    add_to_stream(tokens);
  }

  void run_ffn(int64_t layer, int64_t tokens) {
    const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
    const int64_t ffn = config().ffn_dim;
    norm_rows(work.hidden.data(), w.ffn_norm, tokens, work.normed.data());
    const LinearJob expand[] = {{&w.gate, work.gate.data(), ffn}, {&w.up, work.up.data(), ffn}};
    run_linear(expand, work.normed.data(), tokens, config().hidden_dim);
    pool.run_ranges(tokens, 1, [&](int64_t begin, int64_t end) {
      float* gate = work.gate.data() + begin * ffn;
      kernels.silu_mul(gate, work.up.data() + begin * ffn, (end - begin) * ffn, gate);
    });
    const LinearJob contract[] = {{&w.down, work.added.data(), config().hidden_dim}};
    run_linear(contract, work.gate.data(), tokens, ffn);
    add_to_stream(tokens);
  }

  /// Runs every layer over one chunk; the residual stream after it is in work.hidden.
  void run_layers(std::span<const TokenId> tokens, KvCache& cache) {
    const auto count = static_cast<int64_t>(tokens.size());
    cache.reserve(count);
    work.resize(config(), count);
    embed(tokens);
    const std::vector<RopeAngles> angles = angles_of(cache.length(), count);
    for (int64_t layer = 0; layer < config().n_layers; ++layer) {
      run_attention(layer, count, angles, cache);
      run_ffn(layer, count);
    }
    cache.advance(count);
  }

  /// Logits of `tokens` rows of the stream from `first` on, [tokens, vocab_size].
  void project(int64_t first, int64_t tokens) {
    const int64_t dim = config().hidden_dim, vocab = weights.output.weight.rows;
    work.logits.resize(static_cast<size_t>(tokens * vocab));
    norm_rows(work.hidden.data() + first * dim, weights.output_norm, tokens, work.normed.data());
    const LinearJob head[] = {{&weights.output, work.logits.data(), vocab}};
    run_linear(head, work.normed.data(), tokens, dim);
  }

  void check_call(std::span<const TokenId> tokens, const KvCache& cache) const {
    if (tokens.empty()) throw Error("no tokens to run");
    ASSAY_CHECK(cache.compute() == compute);
    if (cache.length() + static_cast<int64_t>(tokens.size()) > cache.max_positions())
      throw Error({"the text is longer than the context",
                   {},
                   "at most " + std::to_string(cache.max_positions()) + " tokens",
                   std::to_string(cache.length() + static_cast<int64_t>(tokens.size())),
                   {}});
  }

  /// Tokens of one chunk; dynamic NTK needs them all at once, as transformers runs them.
  int64_t chunk_tokens() const {
    return config().rope.scaling == RopeConfig::Scaling::kDynamicNtk ? std::numeric_limits<int64_t>::max()
                                                                     : kChunk;
  }
};

Decoder::Decoder(const ModelFile& model, const EngineOptions& options)
    : state_(std::make_unique<State>(model, options)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

const ModelConfig& Decoder::config() const noexcept {
  return state_->config();
}
Compute Decoder::compute() const noexcept {
  return state_->compute;
}
int Decoder::threads() const noexcept {
  return state_->pool.size();
}
ThreadPool& Decoder::pool() noexcept {
  return state_->pool;
}

KvCache Decoder::make_cache(int64_t max_positions) const {
  return {config(), state_->compute, max_positions};
}

std::span<const float> Decoder::forward(std::span<const TokenId> tokens, KvCache& cache) {
  state_->check_call(tokens, cache);
  const auto chunk = static_cast<size_t>(state_->chunk_tokens());
  while (tokens.size() > chunk) {
    state_->run_layers(tokens.first(chunk), cache);
    tokens = tokens.subspan(chunk);
  }
  state_->run_layers(tokens, cache);
  state_->project(static_cast<int64_t>(tokens.size()) - 1, 1);
  return state_->work.logits;
}

void Decoder::forward_all(std::span<const TokenId> tokens, KvCache& cache,
                          const std::function<void(int64_t, std::span<const float>)>& visit) {
  state_->check_call(tokens, cache);
  const auto chunk = static_cast<size_t>(state_->chunk_tokens());
  const auto vocab = static_cast<size_t>(state_->weights.output.weight.rows);
  for (size_t begin = 0; begin < tokens.size();) {
    const auto part = tokens.subspan(begin, std::min(chunk, tokens.size() - begin));
    state_->run_layers(part, cache);
    for (size_t first = 0; first < part.size(); first += kLogitsChunk) {
      const size_t count = std::min<size_t>(kLogitsChunk, part.size() - first);
      state_->project(static_cast<int64_t>(first), static_cast<int64_t>(count));
      for (size_t i = 0; i < count; ++i)
        visit(static_cast<int64_t>(begin + first + i),
              std::span(state_->work.logits).subspan(i * vocab, vocab));
    }
    begin += part.size();
  }
}

void Decoder::absorb(std::span<const TokenId> tokens, KvCache& cache) {
  state_->check_call(tokens, cache);
  state_->run_layers(tokens, cache);
}

std::span<const float> Decoder::logits_of(int64_t first, int64_t count) {
  ASSAY_CHECK(first >= 0 && count > 0 &&
              (first + count) * config().hidden_dim <= static_cast<int64_t>(state_->work.hidden.size()));
  state_->project(first, count);
  return state_->work.logits;
}

int64_t Decoder::chunk_tokens() const noexcept {
  return state_->chunk_tokens();
}

}  // namespace assay
