#include "engine/decoder.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "engine/attention.hpp"
#include "engine/decoder_weights.hpp"
#include "engine/decoder_workspace.hpp"
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

}  // namespace

struct Decoder::State {
  const ModelFile& model;
  Compute compute;
  KvFormat kv;
  const KernelTable& kernels;
  DecoderWeights weights;
  ThreadPool pool;
  RopeFrequencies frequencies;
  DecoderWorkspace work;
  float* stream = nullptr;  ///< the step's rows of work.hidden

  State(const ModelFile& opened, const EngineOptions& options)
      : model(opened),
        compute(options.compute),
        kv(options.kv.value_or(default_kv_format(options.compute))),
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
    const int64_t dim = config().hidden_dim;
    pool.run_ranges(tokens, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * dim; i < end * dim; ++i) stream[i] += work.added[static_cast<size_t>(i)];
    });
  }

  /// Into the rows of the stream from `row` on.
  void embed(std::span<const TokenId> tokens, int64_t row) {
    const WeightView& table = weights.token_embedding;
    for (size_t t = 0; t < tokens.size(); ++t) {
      if (tokens[t] < 0 || tokens[t] >= table.rows)
        throw Error({"token id outside the vocabulary",
                     {},
                     "below " + std::to_string(table.rows),
                     std::to_string(tokens[t]),
                     "tokenizer of another model?"});
      kernels.dequantize_row(table.format, packed_row(table, tokens[t]), table.cols,
                             stream + (row + static_cast<int64_t>(t)) * table.cols);
    }
  }

  /// Places of `tokens` tokens of one sequence from position `first` on.
  void add_places(KvCache& cache, int64_t first, int64_t tokens, std::vector<TokenPlace>& places) {
    if (config().rope.scaling == RopeConfig::Scaling::kDynamicNtk)
      frequencies = rope_frequencies(config().rope, first + tokens);
    for (int64_t t = 0; t < tokens; ++t)
      places.push_back({&cache, first + t, rope_angles(frequencies, first + t)});
  }

  void run_attention(int64_t layer, std::span<const TokenPlace> places) {
    const auto tokens = static_cast<int64_t>(places.size());
    const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
    const int64_t q_width = config().n_heads * config().head_dim,
                  kv_width = config().n_kv_heads * config().head_dim;
    norm_rows(stream, w.attn_norm, tokens, work.normed.data());
    const LinearJob projections[] = {{&w.q, work.queries.data(), q_width},
                                     {&w.k, work.keys.data(), kv_width},
                                     {&w.v, work.values.data(), kv_width}};
    run_linear(projections, work.normed.data(), tokens, config().hidden_dim);
    attend({.layer = layer,
            .places = places,
            .queries = work.queries.data(),
            .keys = work.keys.data(),
            .values = work.values.data(),
            .q_norm = w.q_norm.empty() ? nullptr : w.q_norm.data(),
            .k_norm = w.k_norm.empty() ? nullptr : w.k_norm.data(),
            .out = work.attended.data()},
           config(), kernels, pool);
    const LinearJob output[] = {{&w.o, work.added.data(), config().hidden_dim}};
    run_linear(output, work.attended.data(), tokens, q_width);
    add_to_stream(tokens);
  }

  void run_ffn(int64_t layer, int64_t tokens) {
    const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
    const int64_t ffn = config().ffn_dim;
    norm_rows(stream, w.ffn_norm, tokens, work.normed.data());
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

  /// Runs every layer over the tokens of all steps; the residual stream after it is in work.hidden.
  void run_layers(std::span<const SequenceStep> steps) {
    int64_t total = 0;
    for (const SequenceStep& step : steps) total += static_cast<int64_t>(step.tokens.size());
    work.resize(config(), total, total);
    stream = work.hidden.data();
    std::vector<TokenPlace> places;
    for (const SequenceStep& step : steps) {
      const auto count = static_cast<int64_t>(step.tokens.size());
      step.cache->reserve(count);
      embed(step.tokens, static_cast<int64_t>(places.size()));
      add_places(*step.cache, step.cache->length(), count, places);
    }
    for (int64_t layer = 0; layer < config().n_layers; ++layer) {
      run_attention(layer, places);
      run_ffn(layer, total);
    }
    for (const SequenceStep& step : steps) step.cache->advance(static_cast<int64_t>(step.tokens.size()));
  }
  void run_layers(std::span<const TokenId> tokens, KvCache& cache) {
    const SequenceStep step[] = {{tokens, &cache}};
    run_layers(step);
  }

  /// Runs a text of its own, every layer over all of it before the next; the residual stream of all tokens is
  /// in work.hidden then.
  void run_by_layers(std::span<const TokenId> tokens) {
    const auto total = static_cast<int64_t>(tokens.size()), chunk = std::min(chunk_tokens(), total);
    KvCache cache = KvCache::of_one_layer(config(), kv, total);
    work.resize(config(), chunk, total);
    std::vector<std::vector<TokenPlace>> places;
    cache.reserve(total);
    const auto each_chunk = [&](const auto& run) {
      for (int64_t begin = 0; begin < total; begin += chunk) {
        stream = work.hidden.data() + begin * config().hidden_dim;
        run(begin, std::min(chunk, total - begin));
      }
    };
    each_chunk([&](int64_t begin, int64_t count) {
      embed(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)), 0);
      add_places(cache, begin, count, places.emplace_back());
    });
    for (int64_t layer = 0; layer < config().n_layers; ++layer) {
      each_chunk([&](int64_t begin, int64_t count) {
        run_attention(layer, places[static_cast<size_t>(begin / chunk)]);
        run_ffn(layer, count);
      });
    }
  }

  /// Logits of rows of the stream, [rows.size(), vocab_size].
  void project(std::span<const int64_t> rows) {
    const int64_t dim = config().hidden_dim, vocab = weights.output.weight.rows;
    const auto count = static_cast<int64_t>(rows.size());
    work.logits.resize(static_cast<size_t>(count * vocab));
    work.normed.resize(std::max(work.normed.size(), static_cast<size_t>(count * dim)));
    for (int64_t i = 0; i < count; ++i)
      kernels.rms_norm(work.hidden.data() + rows[static_cast<size_t>(i)] * dim, weights.output_norm.data(),
                       static_cast<float>(config().norm_eps), dim, work.normed.data() + i * dim);
    const LinearJob head[] = {{&weights.output, work.logits.data(), vocab}};
    run_linear(head, work.normed.data(), count, dim);
  }
  void project(int64_t first, int64_t count) {
    std::vector<int64_t> rows(static_cast<size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    project(rows);
  }

  void check_call(std::span<const TokenId> tokens, const KvCache& cache) const {
    if (tokens.empty()) throw Error("no tokens to run");
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
KvFormat Decoder::kv_format() const noexcept {
  return state_->kv;
}
int Decoder::threads() const noexcept {
  return state_->pool.size();
}
ThreadPool& Decoder::pool() noexcept {
  return state_->pool;
}

KvCache Decoder::make_cache(int64_t max_positions) const {
  return {config(), state_->kv, max_positions};
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

void Decoder::run_steps(std::span<const SequenceStep> steps) {
  for (const SequenceStep& step : steps) state_->check_call(step.tokens, *step.cache);
  state_->run_layers(steps);
}

std::span<const float> Decoder::logits_at(std::span<const int64_t> rows) {
  ASSAY_CHECK(!rows.empty());
  for (const int64_t row : rows)
    ASSAY_CHECK(row >= 0 &&
                (row + 1) * config().hidden_dim <= static_cast<int64_t>(state_->work.hidden.size()));
  state_->project(rows);
  return state_->work.logits;
}

int64_t Decoder::chunk_tokens() const noexcept {
  return state_->chunk_tokens();
}

void Decoder::absorb(std::span<const TokenId> tokens) {
  if (tokens.empty()) throw Error("no tokens to run");
  state_->run_by_layers(tokens);
}

std::span<const float> Decoder::logits_of(int64_t first, int64_t count) {
  ASSAY_CHECK(first >= 0 && count > 0 &&
              (first + count) * config().hidden_dim <= static_cast<int64_t>(state_->work.hidden.size()));
  state_->project(first, count);
  return state_->work.logits;
}

}  // namespace assay
