#pragma once
#include <string>
#include <vector>

#include "models/model_file.hpp"

namespace assay {

/// The slots of a model filled from one container, and what was left aside on purpose.
struct TensorMatch {
  std::vector<ModelTensor> tensors;  ///< in slot order
  std::vector<std::string> notes;    ///< one sentence per thing a careful user should know
};

/// Fills `slots` from safetensors. Throws Error when a slot stays empty, a tensor is claimed by nobody, or a
/// shape, type or packing contradicts the configuration; lists name the first few and the count.
TensorMatch match_directory(const CheckpointDirectory& directory, const std::vector<TensorSlot>& slots,
                            const ModelConfig& config, Container container);

/// The same for a GGUF file.
TensorMatch match_gguf(const GgufFile& file, const std::vector<TensorSlot>& slots);

/// Completes a configuration by what only the tensors of a GGUF tell: tied head, biases, rope factors,
/// vocabulary size. Throws Error when rope_freqs.weight is unusable.
void complete_gguf_config(const GgufFile& file, ModelConfig& config);

/// Throws Error that says what it is when the directory was packed by a tool whose layout is not read here
/// (bitsandbytes, GPTQ, AWQ, fp8, …).
void refuse_foreign_quantization(const CheckpointDirectory& directory);

/// "a, b, c and 4 more (7 in all)".
std::string list_some(const std::vector<std::string>& names);

}  // namespace assay
