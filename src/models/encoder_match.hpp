#pragma once
#include <string_view>

#include "models/tensor_match.hpp"

namespace assay {

/// Completes an encoder's configuration by what only the files tell: the prefix of its names, the spelling of
/// its norms, whether there is a pooler. Throws Error when the head that config.json announces is not there,
/// when there is one that it does not announce, and when the labels are not as many as the classifier's rows.
void complete_encoder_config(const CheckpointDirectory& directory, const EncoderNames& names,
                             ModelConfig& config);

/// True for a tensor of a head that serves pretraining alone.
bool is_pretraining_tensor(const EncoderNames& names, std::string_view tensor) noexcept;

/// The weight of `slot` in a directory that assay quantized, which its names and types tell:
/// `X.weight_packed` U8 [rows, cols / 2] + `X.weight_scale` F16 [rows, cols / group] is int4, `X.weight` I8
/// [rows, cols] + `X.weight_scale` F32 [rows] is int8; nothing where it is plain. Appends the names it used
/// to `claimed`. Throws Error when the parts contradict each other or a scale is not a finite number (of
/// int8: from 0 on).
std::optional<WeightView> find_assay_weight(const CheckpointDirectory& directory, const TensorSlot& slot,
                                            std::vector<std::string>& claimed);

/// Holds config.json's summary ("quantization_config") to the weights. Throws Error naming the tensor that it
/// tells otherwise.
void check_assay_summary(const nlohmann::json& config, const std::vector<ModelTensor>& tensors);
/// True when config.json says that assay quantized the directory.
bool is_assay_config(const nlohmann::json& config) noexcept;

}  // namespace assay
