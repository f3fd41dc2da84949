#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.hpp"
#include "models/encoder_match.hpp"
#include "models/tensor_match.hpp"

namespace assay {
namespace {

constexpr int kAffineBits[] = {2, 3, 4, 5, 6, 8};
constexpr int kAffineGroups[] = {32, 64, 128};

/// Buffers that old exports carry beside the weights and every loader recomputes or ignores.
bool is_ignorable(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with(".masked_bias") ||
         name.ends_with("rotary_emb.cos_cached") || name.ends_with("rotary_emb.sin_cached") ||
         name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.token_type_ids");
}

class DirectoryMatcher {
 public:
  DirectoryMatcher(const CheckpointDirectory& directory, const ModelConfig& config, Container container)
      : directory_(directory), config_(config), container_(container) {}

  TensorMatch run(const std::vector<TensorSlot>& slots) {
    for (const TensorSlot& slot : slots)
      if (!slot.hf_name.empty()) fill(slot);
    if (config_.tied_embeddings) drop_tied_head();
    refuse_leftovers();
    return std::move(match_);
  }

 private:
  void fill(const TensorSlot& slot) {
    if (fill_packed(slot)) return;
    const std::string stored = stored_name(slot);
    const TensorView* view = directory_.find(stored);
    if (view == nullptr) {
      missing_.push_back(slot.hf_name);
      return;
    }
    claimed_.insert(stored);
    match_.tensors.push_back({slot, stored, weight_view(slot, *view)});
  }

  /// int8 and int4, in the containers that have them.
  bool fill_packed(const TensorSlot& slot) {
    if (container_ != Container::kAssay && container_ != Container::kNpz) return false;
    std::vector<std::string> names;
    const std::optional<WeightView> weight = find_assay_weight(directory_, slot, names);
    if (!weight) return false;
    claimed_.insert(names.begin(), names.end());
    match_.tensors.push_back({slot, names.front(), *weight});
    return true;
  }

  /// The slot's own name, or the tensor that stands for it: transformers drops one of two tied tensors when
  /// saving and notes the pair in __metadata__ ("model.embed_tokens.weight": "lm_head.weight").
  std::string stored_name(const TensorSlot& slot) {
    if (directory_.find(slot.hf_name) != nullptr) return slot.hf_name;
    for (const auto& shard : directory_.shards()) {
      const auto alias = shard->metadata().find(slot.hf_name);
      if (alias == shard->metadata().end() || directory_.find(alias->second) == nullptr) continue;
      match_.notes.push_back(slot.hf_name + " is stored as " + alias->second);
      return alias->second;
    }
    if (config_.tied_embeddings && slot.role == TensorRole::kTokenEmbedding &&
        directory_.find("lm_head.weight") != nullptr) {
      match_.notes.push_back(slot.hf_name + " is stored as lm_head.weight");
      return "lm_head.weight";
    }
    return slot.hf_name;
  }

  WeightView weight_view(const TensorSlot& slot, const TensorView& view) {
    const std::string path = slot.hf_name.substr(0, slot.hf_name.rfind('.'));
    const std::string stored_path = view.name.substr(0, view.name.rfind('.'));
    const TensorView* scales =
        view.name.ends_with(".weight") ? directory_.find(stored_path + ".scales") : nullptr;
    if (slot.shape.size() == 2) {
      const auto quantization = resolve_mlx_quantization(directory_.config(), path, scales != nullptr);
      if (quantization) return quantized_view(slot, view, stored_path, *quantization);
    }
    if (scales != nullptr)
      fail(scales->name, "scales beside a weight that config.json calls unquantized", "no scales", "scales");
    return plain_view(slot, view);
  }

  WeightView plain_view(const TensorSlot& slot, const TensorView& view) {
    if (view.shape != slot.shape)
      fail(view.name, "tensor has the wrong shape", format_shape(slot.shape), format_shape(view.shape),
           "config.json of another model?");
    if (!is_float_weight(view.dtype))
      fail(view.name, "tensor has an element type that weights do not have", "F32, F16 or BF16",
           std::string(dtype_name(view.dtype)), "quantized by another tool?");
    const int64_t cols = slot.shape.back();
    return {plain_format(view.dtype), count_elements(slot.shape) / cols, cols, view.bytes, {}, {}};
  }

  WeightView quantized_view(const TensorSlot& slot, const TensorView& codes, const std::string& path,
                            const MlxQuantization& quantization) {
    if (quantization.mode != "affine")
      fail(codes.name, "MLX mode cannot be decoded yet", "affine", quantization.mode);
    const int bits = quantization.bits, group = quantization.group_size;
    if (std::find(std::begin(kAffineBits), std::end(kAffineBits), bits) == std::end(kAffineBits) ||
        std::find(std::begin(kAffineGroups), std::end(kAffineGroups), group) == std::end(kAffineGroups))
      fail(codes.name, "no such MLX layout", "2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128",
           std::to_string(bits) + " bits in groups of " + std::to_string(group));
    const TensorView& scales = part(path + ".scales");
    const TensorView& biases = part(path + ".biases");
    const int64_t rows = slot.shape[0], cols = slot.shape[1];
    expect(codes, DType::kU32, {rows, cols * bits / 32}, quantization);
    expect(scales, scales.dtype, {rows, cols / group}, quantization);
    expect(biases, scales.dtype, {rows, cols / group}, quantization);
    if (cols % group != 0)
      fail(codes.name, "rows are no whole number of groups", "a multiple of " + std::to_string(group),
           std::to_string(cols));
    if (!is_float_weight(scales.dtype))
      fail(scales.name, "scales have an unusable element type", "F32, F16 or BF16",
           std::string(dtype_name(scales.dtype)), "another MLX mode than config.json says?");
    return {mlx_format(bits, group, scales.dtype), rows, cols, codes.bytes, scales.bytes, biases.bytes};
  }

  const TensorView& part(const std::string& name) {
    const TensorView* view = directory_.find(name);
    if (view == nullptr)
      fail(name, "tensor is missing", "a part of an MLX weight", "nothing", "config.json calls it quantized");
    claimed_.insert(name);
    return *view;
  }

  void expect(const TensorView& view, DType dtype, const Shape& shape, const MlxQuantization& quantization) {
    if (view.dtype == dtype && view.shape == shape) return;
    fail(view.name,
         "tensor contradicts " + std::to_string(quantization.bits) + " bits in groups of " +
             std::to_string(quantization.group_size),
         std::string(dtype_name(dtype)) + " " + format_shape(shape),
         std::string(dtype_name(view.dtype)) + " " + format_shape(view.shape),
         "config.json of another conversion?");
  }

  /// transformers ignores lm_head.weight when tie_word_embeddings is true, and so does this; but it is said.
  void drop_tied_head() {
    const TensorView* head = directory_.find("lm_head.weight");
    const TensorView* embedding = directory_.find("model.embed_tokens.weight");
    if (head == nullptr || embedding == nullptr || claimed_.contains("lm_head.weight")) return;
    if (directory_.find("lm_head.scales") != nullptr) return;
    claimed_.insert("lm_head.weight");
    const bool same = head->dtype == embedding->dtype && head->bytes.size() == embedding->bytes.size() &&
                      std::memcmp(head->bytes.data(), embedding->bytes.data(), head->bytes.size()) == 0;
    for (const auto& shard : directory_.shards()) {
      if (shard->find("lm_head.weight") != nullptr) shard->file().release(head->bytes);
      if (shard->find("model.embed_tokens.weight") != nullptr) shard->file().release(embedding->bytes);
    }
    match_.notes.push_back(same ? "lm_head.weight is a copy of the tied embedding and is left out"
                                : "lm_head.weight differs from the embedding but is left out, because "
                                  "tie_word_embeddings is true (as transformers does)");
  }

  void refuse_leftovers() {
    const std::string where = directory_.path().string();
    std::vector<std::string> unclaimed, pretraining;
    const EncoderNames* names = architecture_named(config_.architecture).encoder;
    for (const auto& [name, view] : directory_.tensors()) {
      if (claimed_.contains(name)) continue;
      if (is_ignorable(name))
        match_.notes.push_back(name + " is a buffer that loaders recompute and is left out");
      else if (names != nullptr && is_pretraining_tensor(*names, name))
        pretraining.push_back(name);
      else
        unclaimed.push_back(name);
    }
    if (!pretraining.empty())
      match_.notes.push_back("a head for pretraining, which no task here runs, is left out: " +
                             list_some(pretraining));
    if (!missing_.empty()) {
      const bool head_only = missing_.size() == 1 && missing_[0] == "lm_head.weight";
      throw Error(Fault{"tensors are missing", where, list_some(missing_),
                        unclaimed.empty() ? std::string() : "unknown " + list_some(unclaimed),
                        head_only ? "tie_word_embeddings is false in config.json; should it be true?"
                                  : "config.json of another model?"});
    }
    if (!unclaimed.empty())
      throw Error(Fault{"tensors that the architecture does not have", where, {}, list_some(unclaimed), {}});
  }

  [[noreturn]] void fail(const std::string& name, std::string what, std::string expected, std::string found,
                         std::string cause = {}) const {
    throw Error(Fault{std::move(what), directory_.path().string() + ": " + name, std::move(expected),
                      std::move(found), std::move(cause)});
  }

  const CheckpointDirectory& directory_;
  const ModelConfig& config_;
  const Container container_;
  TensorMatch match_;
  std::set<std::string, std::less<>> claimed_;
  std::vector<std::string> missing_;
};

}  // namespace

TensorMatch match_directory(const CheckpointDirectory& directory, const std::vector<TensorSlot>& slots,
                            const ModelConfig& config, Container container) {
  return DirectoryMatcher(directory, config, container).run(slots);
}

}  // namespace assay
