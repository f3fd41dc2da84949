#pragma once
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/imatrix.hpp"
#include "models/architecture.hpp"
#include "tensor/weight_format.hpp"

namespace assay {

/// When a role gets another kind than the base. The names say which of llama.cpp's rules it is.
enum class KindRule : uint8_t {
  kAlways,
  kMoreBits,             ///< use_more_bits: the first and last eighth, and every third layer between
  kFirstEighth,          ///< layer < n_layers / 8
  kFirstSixteenth,       ///< layer < n_layers / 16
  kFirstFour,            ///< layer < 4
  kFirstTwo,             ///< layer < 2
  kShared,               ///< four or more query heads use one value head
  kFirstEighthPlain,     ///< layer < n_layers / 8, without an importance matrix
  kFirstEighthWeighted,  ///< layer < n_layers / 8, with one
};

struct RoleKind {
  TensorRole role;
  KindRule rule;
  WeightKind kind;
};

/// A llama.cpp file type as data: what llama-quantize makes of each role. Source: llama.cpp
/// src/llama-quant.cpp, llama_tensor_get_type_impl.
struct GgufMix {
  std::string_view name;  ///< "Q4_K_M"
  uint32_t file_type;     ///< general.file_type (llama.h, llama_ftype)
  WeightKind base;
  WeightKind output;  ///< of output.weight, or of a tied embedding
  /// The first that applies to a tensor's role and layer decides; base where none does.
  std::array<std::optional<RoleKind>, 5> roles{};
};

/// What an int8 or int4 output makes of an encoder's weights, by what they do. Norms, biases and relative
/// positions stay F32.
struct EncoderFormats {
  WeightFormat linears;     ///< attention and feed-forward: int8 or int4
  WeightFormat embeddings;  ///< word, position and type tables: F32, F16, int8 or int4
  WeightFormat head;        ///< pooler, the head's dense layer and the classifier: F32, int8 or int4
  bool npz = false;         ///< in weights.npz, where int8 has one scale a tensor and not one a row
};

/// A format for the tensors whose names a regular expression finds: "Q8_0" in GGUF, "8bit-g32" or "none" in
/// MLX.
struct TensorOverride {
  std::string pattern, format;
};

/// What an output says about the importance matrix that its searches used (quantize.imatrix.* in GGUF).
struct ImportanceFacts {
  std::string file, dataset;
  int64_t entries = 0, chunks = 0;
};

/// What an output shall be. MLX: bits 0 means unquantized, of `dtype` or, without one, of the type that the
/// source's configuration names. GGUF: the mix. int8 and int4, for encoders: the formats by role.
struct Recipe {
  std::string name;         ///< canonical: "mlx:4bit", "mlx:4bit-g32", "gguf:Q4_K_M", "int4-emb-fp32"
  std::string output_name;  ///< the last part of the output's path: "mlx-4bit", "Q4_K_M"
  int bits = 0;
  int group_size = 64;
  std::optional<DType> dtype;
  const GgufMix* mix = nullptr;
  std::optional<EncoderFormats> encoder{};
  std::vector<TensorOverride> overrides{};           ///< the first that is found in a name decides
  std::string output_format{}, embedding_format{};   ///< of the head and of the token embedding, where given
  std::optional<ImportanceFacts> importance{};       ///< GGUF alone; some mixes choose otherwise with it
  std::shared_ptr<const ImportanceMatrix> matrix{};  ///< null where only its facts are known, to plan

  bool is_gguf() const noexcept { return mix != nullptr; }
  bool is_quantized() const noexcept {
    if (encoder) return true;
    return is_gguf() ? assay::is_quantized(ggml_format(mix->base)) : bits != 0;
  }
};

/// Understands "mlx:4bit", "mlx:8bit-g32", "mlx:bf16", "gguf:Q4_K_M", "int8", "int4-g32",
/// "int4-emb-fp32-head-int4" and the aliases q4 q8 q4_bit q8_bit none
/// (upper or lower case). Throws UsageError for anything else: known names that assay does not write say so,
/// unknown ones get the nearest name and the whole list.
Recipe parse_recipe(std::string_view text);
/// The same for a list separated by commas; a recipe given twice throws UsageError.
std::vector<Recipe> parse_recipes(std::string_view list);

/// The recipe, where it is an encoder's, with other embeddings ("fp32", "fp16", "int8", "int4") or another
/// head
/// ("fp32", "int8", "int4"); an empty word keeps what it says. Throws UsageError for another word.
Recipe with_encoder_options(const Recipe& recipe, std::string_view embeddings, std::string_view head);
/// The recipe of such formats, named after them: "int8", "int4-g32-emb-fp16".
Recipe encoder_recipe(const EncoderFormats& formats);
/// parse_recipe() for the names of encoders' recipes alone, lower case; nothing for any other name.
std::optional<Recipe> parse_encoder_recipe(std::string_view text);
/// "int8", "int4", "int4-g32": the base names.
std::span<const std::string_view> encoder_recipe_names() noexcept;

/// Every name parse_recipe() understands (of encoders' the base names), canonical ones first, for help texts.
std::vector<std::string> recipe_names();
/// By general.file_type; null for one that assay does not write.
const GgufMix* find_gguf_mix(uint32_t file_type) noexcept;
/// "Q4_K_M" for any file type llama.cpp knows, written here or not; empty for a number that is none.
std::string_view gguf_file_type_name(uint32_t file_type) noexcept;

}  // namespace assay
