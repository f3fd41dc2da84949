#include "cli/resident_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/memory.hpp"
#include "engine/encoder_model.hpp"
#include "engine/generate.hpp"

namespace assay {
namespace {

/// Of the program and the allocator: pages that belong to no model.
constexpr uint64_t kProgram = uint64_t{24} << 20;

uint64_t grown_since(uint64_t before) {
  const uint64_t now = anonymous_rss_bytes();
  return now - std::min(before, now);
}

uint64_t vocabulary_bytes(const std::filesystem::path& path) {
  const uint64_t before = anonymous_rss_bytes();
  const Tokenizer vocabulary = std::filesystem::is_directory(path)
                                   ? Tokenizer::from_directory(path)
                                   : Tokenizer::from_gguf(GgufFile(path).metadata());
  return grown_since(before);
}

uint64_t float_bytes(const ModelFile& model) {
  uint64_t weights = 0;
  for (const ModelTensor& tensor : model.tensors())
    weights += static_cast<uint64_t>(tensor.weight.rows * tensor.weight.cols);
  return sizeof(float) * weights;
}

Check make_check(const ModelFile& model, uint64_t held, uint64_t allowed) {
  return {.name = "resident memory",
          .ok = held <= allowed,
          .detail = fmt::format("the engine holds {} beside the mapped file of {}, at most {} allowed; as "
                                "float32 the weights alone would be {}",
                                format_bytes(held), format_bytes(model.weight_bytes()), format_bytes(allowed),
                                format_bytes(float_bytes(model)))};
}

/// May hold the KV cache, activations of one chunk, f32 copies of norms and biases, the vocabulary.
Check check_decoder(const std::filesystem::path& path, const EngineOptions& options) {
  constexpr int64_t kTokens = 64;
  const uint64_t before = anonymous_rss_bytes();
  const uint64_t vocabulary = vocabulary_bytes(path);
  LanguageModel model(path, options);
  KvCache cache = model.decoder().make_cache(std::min<int64_t>(kTokens, model.config().max_context));
  const std::vector<TokenId> tokens(static_cast<size_t>(cache.max_positions()), 0);
  model.decoder().forward(tokens, cache);
  const uint64_t held = grown_since(before);
  const ModelConfig& config = model.config();
  const auto row = static_cast<uint64_t>(4 * config.hidden_dim + 3 * config.n_heads * config.head_dim +
                                         2 * config.n_kv_heads * config.head_dim + 3 * config.ffn_dim);
  const uint64_t activations =
      2 * sizeof(float) * row * kTokens + 3 * sizeof(float) * static_cast<uint64_t>(config.vocab_size);
  // Twice the vocabulary, for the trees it is parsed from.
  return make_check(model.file(), held, cache.bytes() + activations + 2 * vocabulary + kProgram);
}

/// Most bytes that a matrix may take once packed for products: its codes, rows and columns filled up to whole
/// panels of 32 rows by 64 columns, and floats: int8 two a row (scale, sum of the row), int4 one a group and
/// one a row. Every format but these two is multiplied as f32.
uint64_t packed_bytes(const WeightView& weight) {
  const auto rows = static_cast<uint64_t>((weight.rows + 31) / 32 * 32),
             cols = static_cast<uint64_t>((weight.cols + 63) / 64 * 64);
  const WeightFormat& format = weight.format;
  if (format.kind == WeightKind::kInt8) return rows * cols + 2 * sizeof(float) * rows;
  if (format.kind == WeightKind::kInt4)
    return rows * cols / 2 + sizeof(float) * rows * (cols / static_cast<uint64_t>(format.group_size) + 1);
  return rows * cols * sizeof(float);
}

/// A fused feed-forward is packed as its two halves, each filled up.
uint64_t packed_bytes(const ModelTensor& tensor, bool in_halves) {
  if (!in_halves) return packed_bytes(tensor.weight);
  WeightView half = tensor.weight;
  half.rows = (half.rows + 1) / 2;
  return 2 * packed_bytes(half);
}

/// What the engine may count as weights: matrices as packed_bytes() has them, tables as they are stored, and
/// norms, biases, types and relative positions as f32. Joined q, k and v fill up once and not three times, so
/// this is never too small.
uint64_t allowed_weight_bytes(const ModelFile& model) {
  uint64_t total = 0;
  for (const ModelTensor& tensor : model.tensors()) {
    const WeightView& weight = tensor.weight;
    const TensorRole role = tensor.slot.role;
    if (role == TensorRole::kTokenEmbedding || role == TensorRole::kPositionEmbedding)
      total += weight.bytes();
    else if (tensor.slot.shape.size() < 2 || role == TensorRole::kTypeEmbedding ||
             role == TensorRole::kRelativeBias)
      total += sizeof(float) * static_cast<uint64_t>(weight.rows * weight.cols);
    else
      total += packed_bytes(tensor, role == TensorRole::kFfnUp && model.config().encoder->gated_mlp);
  }
  return total;
}

/// Buffers of one text, and what loading leaves with the allocator: a copy of one matrix's codes a thread,
/// and floats of a table's rows.
uint64_t working_bytes(EncoderModel& model, uint64_t tokens) {
  const ModelConfig& config = model.config();
  uint64_t largest = 0;
  for (const ModelTensor& tensor : model.file().tensors())
    if (tensor.slot.role != TensorRole::kTokenEmbedding) largest = std::max(largest, tensor.weight.bytes());
  const auto row = static_cast<uint64_t>(8 * config.hidden_dim + 6 * config.ffn_dim);
  return sizeof(float) * row * tokens + static_cast<uint64_t>(model.encoder().threads()) * largest;
}

/// Matrices are packed at load into memory of the process; tables stay in the mapped file, but an archive's
/// arrays have no file to stay in and are held beside the packed ones.
Check check_encoder(const std::filesystem::path& path, const EngineOptions& options) {
  const uint64_t before = anonymous_rss_bytes();
  const uint64_t vocabulary = vocabulary_bytes(path);
  EncoderModel model(path, options);
  const Encoding text =
      model.tokenize({"A short text of some sixteen tokens is enough to use every weight."});
  model.encoder().hidden_states({&text, 1}, [](size_t, std::span<const float>) {});
  const uint64_t held = grown_since(before);
  const uint64_t counted = model.encoder().resident_weight_bytes(), may = allowed_weight_bytes(model.file());
  uint64_t allowed = may + working_bytes(model, text.ids.size()) + 2 * vocabulary + kProgram;
  if (model.file().container() == Container::kNpz) allowed += model.file().weight_bytes();
  Check check = make_check(model.file(), held, allowed);
  check.ok = check.ok && counted <= may;
  check.detail = fmt::format("weights take {}, at most {} for the formats in the file; {}",
                             format_bytes(counted), format_bytes(may), check.detail);
  return check;
}

}  // namespace

Check check_resident_memory(const std::filesystem::path& path, const EngineOptions& options) {
  try {
    return ModelFile::open(path).config().encoder ? check_encoder(path, options)
                                                  : check_decoder(path, options);
  } catch (const Error& error) {
    return {.name = "resident memory", .ok = false, .detail = error.what()};
  }
}

}  // namespace assay
