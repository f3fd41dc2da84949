#pragma once
#include "convert/plan.hpp"

namespace assay {

/// Whether a role is a table of vectors (word, position, type), or part of what stands on top of the layers
/// (pooler, the head's dense layer, classifier).
bool is_embedding(TensorRole role) noexcept;
bool is_head(TensorRole role) noexcept;

/// A weight of an encoder in an int8 or int4 output: the format of its role; int8, with the reason, where its
/// rows are no whole number of groups; F32 for norms, biases and relative positions.
PlannedTensor plan_encoder_tensor(const TensorSlot& slot, const EncoderFormats& formats);

/// Throws UsageError for an encoder's recipe of a decoder, and Error for GGUF of an encoder that llama.cpp
/// cannot compute.
void check_recipe_fits(const ConversionSource& source, const Recipe& recipe);

/// Appends to the notes what embeddings left as floats cost, and which MLX outputs stock loaders cannot use.
void note_encoder_limits(const ConversionSource& source, Plan& plan);

/// "embeddings 69 % of bytes are F32: 1.92x" with the share and the whole file's ratio to 32-bit floats.
std::string float_embeddings_sentence(uint64_t embedding_bytes, uint64_t all_bytes, uint64_t parameters,
                                      std::string_view format);

}  // namespace assay
