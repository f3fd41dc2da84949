#include "engine/encoder_forward.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/format.hpp"

namespace assay {
namespace {

/// Tokens that go through the token-wise part of a layer together: their feed-forward activations stay in the
/// second-level cache, and products still read each weight for many tokens.
constexpr int64_t kBlockTokens = 128;
/// A block worth giving to another thread; with less, all threads share the products of one block.
constexpr int64_t kMinBlockTokens = 32;
/// Blocks end at multiples of this, the tokens that the widest kernels take at once.
constexpr int64_t kBlockGrain = 16;
constexpr int64_t kNormGrain = 16;

/// Grows a buffer; its content is not kept in any order.
template <class T>
T* fit(AlignedVector<T>& buffer, int64_t count) {
  if (buffer.size() < static_cast<size_t>(count)) buffer.resize(static_cast<size_t>(count));
  return buffer.data();
}

/// Runs task(begin, end, workspace, team) over blocks of tokens: a block per thread, or all threads on the
/// one block of a small batch.
template <class Task>
void for_blocks(int64_t tokens, Shelf<BlockWorkspace>& shelf, const Team& team, const Task& task) {
  int64_t blocks = (tokens + kBlockTokens - 1) / kBlockTokens;
  if (team.size() > 1) {
    const int64_t shared = (blocks + team.size() - 1) / team.size() * team.size();
    blocks = tokens >= shared * kMinBlockTokens ? shared : 1;
  }
  if (blocks <= 1) {
    const auto workspace = shelf.borrow();
    return task(int64_t{0}, tokens, *workspace, team);
  }
  const int64_t size = ((tokens + blocks - 1) / blocks + kBlockGrain - 1) / kBlockGrain * kBlockGrain;
  team.run((tokens + size - 1) / size, [&](int64_t block) {
    const auto workspace = shelf.borrow();
    task(block * size, std::min(tokens, (block + 1) * size), *workspace, Team());
  });
}

/// One batch on its way through the layers.
class BatchRun {
 public:
  BatchRun(const EncoderModelParts& model, const EncoderBatch& batch, BatchWorkspace& work,
           Shelf<BlockWorkspace>& blocks, const Team& team)
      : model_(model),
        batch_(batch),
        work_(work),
        blocks_(blocks),
        team_(team),
        dim_(model.config.hidden_dim),
        width_(model.config.n_heads * model.config.head_dim) {
    fit(work.hidden, batch.tokens() * dim_);
    fit(work.qkv, batch.tokens() * 3 * width_);
    fit(work.attended, batch.tokens() * width_);
  }

  void embed(std::span<const Encoding> texts) {
    team_.run_ranges(batch_.count(), 1, [&](int64_t begin, int64_t end) {
      const auto workspace = blocks_.borrow();
      for (int64_t text = begin; text < end; ++text)
        embed_text(texts[batch_.texts[static_cast<size_t>(text)]], batch_.begin[static_cast<size_t>(text)],
                   fit(workspace->row, dim_));
    });
    norm_rows(model_, model_.weights.embedding_norm, work_.hidden.data(), batch_.tokens(),
              work_.hidden.data(), team_);
  }

  void run_layer(int64_t layer) {
    project(layer, {0, 3 * width_});
    attend(layer, batch_.tokens(), nullptr);
    finish_layer(layer, work_.attended.data(), batch_.tokens(), work_.hidden.data());
  }

  /// The last layer for first tokens alone: keys and values of all tokens, everything else of one row a text.
  void run_layer_for_first_rows(int64_t layer) {
    const int64_t count = batch_.count();
    float* first = fit(work_.first, count * dim_);
    for (int64_t text = 0; text < count; ++text)
      std::memcpy(first + text * dim_, work_.hidden.data() + batch_.begin[static_cast<size_t>(text)] * dim_,
                  static_cast<size_t>(dim_) * sizeof(float));
    if (width_ % kPanelRows == 0) {
      project(layer, {width_, 3 * width_});
      project_first_queries(layer, first);
      attend(layer, 1, work_.queries.data());
    } else {
      project(layer, {0, 3 * width_});
      attend(layer, 1, nullptr);
    }
    finish_layer(layer, work_.attended.data(), count, first);
  }

 private:
  const EncoderLayerWeights& weights(int64_t layer) const {
    return model_.weights.layers[static_cast<size_t>(layer)];
  }
  bool norms_before_attention(int64_t layer) const {
    return model_.traits().pre_norm && !(layer == 0 && model_.traits().first_norm_is_identity);
  }

  void embed_text(const Encoding& text, int64_t first_token, float* row) {
    const EncoderTraits& traits = model_.traits();
    const WeightView& word = model_.weights.word;
    const WeightView& position = model_.weights.position;
    const FormatOps& word_ops = format_ops(word.format);
    for (size_t t = 0; t < text.ids.size(); ++t) {
      float* out = work_.hidden.data() + (first_token + static_cast<int64_t>(t)) * dim_;
      word_ops.dequantize_row(word.format, packed_row(word, text.ids[t]), dim_, out);
      if (traits.type_rows > 0) {
        // Models of one type (RoBERTa) number both texts of a pair alike.
        const int64_t type = traits.type_rows == 1 || text.types.empty() ? 0 : text.types[t];
        const float* types = model_.weights.types.data() + type * dim_;
        for (int64_t i = 0; i < dim_; ++i) out[i] += types[i];
      }
      if (position.rows > 0) {
        format_ops(position.format)
            .dequantize_row(position.format,
                            packed_row(position, traits.position_offset + static_cast<int64_t>(t)), dim_,
                            row);
        for (int64_t i = 0; i < dim_; ++i) out[i] += row[i];
      }
    }
  }

  /// The rows of hidden states a product reads: normed into the workspace, or as they are.
  const float* input_rows(int64_t layer, const float* hidden, int64_t tokens, BlockWorkspace& block,
                          const Team& team) {
    if (!norms_before_attention(layer)) return hidden;
    float* normed = fit(block.normed, tokens * dim_);
    norm_rows(model_, weights(layer).attn_norm, hidden, tokens, normed, team);
    return normed;
  }

  /// Rows of q, k and v of every token.
  void project(int64_t layer, ProductRows rows) {
    for_blocks(batch_.tokens(), blocks_, team_,
               [&](int64_t begin, int64_t end, BlockWorkspace& block, const Team& team) {
                 const float* hidden = work_.hidden.data() + begin * dim_;
                 block.input.set(input_rows(layer, hidden, end - begin, block, team), dim_, end - begin,
                                 dim_);
                 multiply(weights(layer).qkv, block.input, rows, {}, work_.qkv.data() + begin * 3 * width_,
                          3 * width_, model_.kernels, team);
               });
  }

  void project_first_queries(int64_t layer, const float* first) {
    float* queries = fit(work_.queries, batch_.count() * width_);
    for_blocks(batch_.count(), blocks_, team_,
               [&](int64_t begin, int64_t end, BlockWorkspace& block, const Team& team) {
                 const float* rows = input_rows(layer, first + begin * dim_, end - begin, block, team);
                 block.input.set(rows, dim_, end - begin, dim_);
                 multiply(weights(layer).qkv, block.input, {0, width_}, {}, queries + begin * width_, width_,
                          model_.kernels, team);
               });
  }

  /// Turns the heads of a row by its position.
  void rotate(float* row, const RopeAngles& angles) const {
    const int64_t head_dim = model_.config.head_dim;
    for (int64_t head = 0; head < model_.config.n_heads; ++head)
      rotate_head({row + head * head_dim, static_cast<size_t>(head_dim)}, angles, false);
  }

  /// Rotates queries (those that will be read) and keys of one text.
  void rotate_text(int64_t layer, int64_t text, int64_t queries, float* first_queries) {
    const std::vector<RopeAngles>& angles = *model_.positions.angles(layer);
    float* rows = work_.qkv.data() + batch_.begin[static_cast<size_t>(text)] * 3 * width_;
    for (int64_t t = 0; t < batch_.length(text); ++t) {
      float* row = rows + t * 3 * width_;
      const RopeAngles& angle = angles[static_cast<size_t>(t)];
      if (t < queries) rotate(first_queries != nullptr ? first_queries + text * width_ : row, angle);
      rotate(row + width_, angle);
    }
  }

  /// `queries` rows of each text (at most its length). With first_queries, [texts, width], the queries lie
  /// there; with one row a text, the results lie one behind the other.
  void attend(int64_t layer, int64_t queries, float* first_queries) {
    if (model_.positions.angles(layer) != nullptr)
      team_.run(batch_.count(), [&](int64_t text) { rotate_text(layer, text, queries, first_queries); });
    const int64_t heads = model_.config.n_heads;
    team_.run_ranges(batch_.count() * heads, 1, [&](int64_t begin, int64_t end) {
      const auto workspace = blocks_.borrow();
      float* scratch =
          fit(workspace->attention, attention_scratch(batch_.length(begin / heads), model_.config.head_dim));
      for (int64_t job = begin; job < end; ++job)
        model_.kernels.attend(attention_job(layer, job / heads, job % heads, queries, first_queries),
                              scratch);
    });
  }

  AttentionJob attention_job(int64_t layer, int64_t text, int64_t head, int64_t queries,
                             const float* first_queries) {
    const int64_t head_dim = model_.config.head_dim, length = batch_.length(text),
                  first_token = batch_.begin[static_cast<size_t>(text)];
    const float* qkv = work_.qkv.data() + first_token * 3 * width_ + head * head_dim;
    const bool first_only = queries == 1;
    return {.q = first_queries != nullptr ? first_queries + text * width_ + head * head_dim : qkv,
            .k = qkv + width_,
            .v = qkv + 2 * width_,
            .out = work_.attended.data() + (first_only ? text : first_token) * width_ + head * head_dim,
            .stride = 3 * width_,
            .out_stride = width_,
            .length = length,
            .queries = std::min(queries, length),
            .head_dim = head_dim,
            .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))),
            .window = model_.traits().layers[static_cast<size_t>(layer)].window,
            .relative = model_.positions.relative(head, length)};
  }

  /// Everything behind the attention, which sees one token at a time: `stream` is updated in place.
  void finish_layer(int64_t layer, const float* attended, int64_t tokens, float* stream) {
    for_blocks(tokens, blocks_, team_,
               [&](int64_t begin, int64_t end, BlockWorkspace& block, const Team& team) {
                 float* rows = stream + begin * dim_;
                 block.input.set(attended + begin * width_, width_, end - begin, width_);
                 multiply(weights(layer).output, block.input, {.residual = rows, .residual_stride = dim_},
                          rows, dim_, model_.kernels, team);
                 if (!model_.traits().pre_norm)
                   norm_rows(model_, weights(layer).attn_norm, rows, end - begin, rows, team);
                 feed_forward(layer, rows, end - begin, block, team);
               });
  }

  void feed_forward(int64_t layer, float* rows, int64_t tokens, BlockWorkspace& block, const Team& team) {
    const EncoderLayerWeights& w = weights(layer);
    const int64_t ffn = model_.config.ffn_dim;
    const float* x = rows;
    if (model_.traits().pre_norm) {
      float* normed = fit(block.normed, tokens * dim_);
      norm_rows(model_, w.ffn_norm, rows, tokens, normed, team);
      x = normed;
    }
    block.input.set(x, dim_, tokens, dim_);
    float* up = fit(block.up, tokens * ffn);
    const Epilogue activated{.activation = model_.traits().activation};
    if (w.gate.empty()) {
      multiply(w.up, block.input, activated, up, ffn, model_.kernels, team);
    } else {
      float* gate = fit(block.gate, tokens * ffn);
      multiply(w.gate, block.input, activated, gate, ffn, model_.kernels, team);
      multiply(w.up, block.input, {}, up, ffn, model_.kernels, team);
      for (int64_t i = 0; i < tokens * ffn; ++i) up[i] *= gate[i];
    }
    block.input.set(up, ffn, tokens, ffn);
    multiply(w.down, block.input, {.residual = rows, .residual_stride = dim_}, rows, dim_, model_.kernels,
             team);
    if (!model_.traits().pre_norm) norm_rows(model_, w.ffn_norm, rows, tokens, rows, team);
  }

  const EncoderModelParts& model_;
  const EncoderBatch& batch_;
  BatchWorkspace& work_;
  Shelf<BlockWorkspace>& blocks_;
  const Team& team_;
  int64_t dim_;    ///< hidden_dim
  int64_t width_;  ///< n_heads · head_dim
};

}  // namespace

void norm_rows(const EncoderModelParts& model, const NormWeights& norm, const float* x, int64_t tokens,
               float* out, const Team& team) {
  const int64_t dim = model.config.hidden_dim;
  const float* bias = norm.bias.empty() ? nullptr : norm.bias.data();
  team.run_ranges(tokens, kNormGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      model.kernels.layer_norm(x + t * dim, norm.weight.data(), bias,
                               static_cast<float>(model.config.norm_eps), dim, out + t * dim);
  });
}

std::span<float> run_encoder_layers(const EncoderModelParts& model, std::span<const Encoding> texts,
                                    const EncoderBatch& batch, WantedRows wanted, BatchWorkspace& work,
                                    Shelf<BlockWorkspace>& blocks, const Team& team) {
  BatchRun run(model, batch, work, blocks, team);
  run.embed(texts);
  const int64_t last = model.config.n_layers - 1;
  const bool first_only = wanted == WantedRows::kFirst && last >= 0;
  for (int64_t layer = 0; layer < last; ++layer) run.run_layer(layer);
  if (first_only) {
    run.run_layer_for_first_rows(last);
  } else if (last >= 0) {
    run.run_layer(last);
  }
  const int64_t rows = first_only ? batch.count() : batch.tokens();
  float* hidden = first_only ? work.first.data() : work.hidden.data();
  if (!model.weights.final_norm.empty())
    norm_rows(model, model.weights.final_norm, hidden, rows, hidden, team);
  return {hidden, static_cast<size_t>(rows * model.config.hidden_dim)};
}

}  // namespace assay
