#pragma once
#include <vector>

#include "models/architecture.hpp"

namespace assay {

/// tensor_slots() of an encoder: `architecture.encoder` and `config.encoder` must be set. Names carry the
/// prefix and the norm spelling that the traits tell. gguf_name follows llama.cpp (gguf-py
/// tensor_mapping.py) and is empty where it has no such tensor.
std::vector<TensorSlot> encoder_slots(const Architecture& architecture, const ModelConfig& config);

/// The classifier's module under a head's kind; empty without a head.
std::string_view classifier_module(const EncoderNames& names, const EncoderHead& head) noexcept;

}  // namespace assay
