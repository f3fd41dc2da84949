#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/rng.hpp"
#include "engine/encoder_runner.hpp"
#include "formats/format.hpp"
#include "io/safetensors.hpp"
#include "support/test_data.hpp"

namespace assay::test {

/// A tensor of a checkpoint being written.
struct FloatTensor {
  Shape shape;
  std::vector<float> values;
};
using FloatTensors = std::map<std::string, FloatTensor>;

/// The smallest configuration of each family that uses everything it has: two heads of 32, several layers.
inline nlohmann::json tiny_encoder_config(const std::string& family) {
  if (family == "distilbert")
    return {{"model_type", "distilbert"},
            {"architectures", {"DistilBertForSequenceClassification"}},
            {"dim", 64},
            {"hidden_dim", 128},
            {"n_layers", 2},
            {"n_heads", 2},
            {"vocab_size", 40},
            {"max_position_embeddings", 80},
            {"activation", "gelu"},
            {"num_labels", 3}};
  if (family == "modernbert")
    return {{"model_type", "modernbert"},
            {"architectures", {"ModernBertForSequenceClassification"}},
            {"hidden_size", 64},
            {"intermediate_size", 96},
            {"num_hidden_layers", 4},
            {"num_attention_heads", 2},
            {"vocab_size", 40},
            {"max_position_embeddings", 80},
            {"norm_eps", 1e-5},
            {"norm_bias", false},
            {"attention_bias", false},
            {"mlp_bias", false},
            {"local_attention", 8},
            {"global_attn_every_n_layers", 3},
            {"global_rope_theta", 1000.0},
            {"local_rope_theta", 10.0},
            {"hidden_activation", "gelu"},
            {"pad_token_id", 0},
            {"classifier_pooling", "mean"},
            {"classifier_activation", "gelu"},
            {"num_labels", 3}};
  nlohmann::json config = {{"model_type", family},
                           {"hidden_size", 64},
                           {"intermediate_size", 128},
                           {"num_hidden_layers", 2},
                           {"num_attention_heads", 2},
                           {"vocab_size", 40},
                           {"max_position_embeddings", 80},
                           {"type_vocab_size", family == "bert" ? 2 : 1},
                           {"hidden_act", "gelu"},
                           {"layer_norm_eps", 1e-12},
                           {"pad_token_id", 1},
                           {"num_labels", 3}};
  if (family == "bert") config["architectures"] = {"BertForSequenceClassification"};
  if (family == "roberta") config["architectures"] = {"RobertaForSequenceClassification"};
  if (family == "mpnet") {
    config["architectures"] = {"MPNetForSequenceClassification"};
    config["relative_attention_num_buckets"] = 32;
  }
  return config;
}

inline const std::vector<std::string>& encoder_families() {
  static const std::vector<std::string> kFamilies = {"bert", "distilbert", "roberta", "modernbert", "mpnet"};
  return kFamilies;
}

/// Random weights for a configuration; norms near 1, everything else small.
inline FloatTensors random_tensors(const nlohmann::json& config, uint64_t seed) {
  Rng rng(seed);
  FloatTensors tensors;
  for (const TensorSlot& slot : tensor_slots(find_architecture(config), read_model_config(config, nullptr))) {
    FloatTensor tensor{slot.shape, std::vector<float>(static_cast<size_t>(count_elements(slot.shape)))};
    const bool is_norm = slot.hf_name.ends_with("orm.weight");
    for (float& value : tensor.values)
      value = static_cast<float>(is_norm ? 1.0 + 0.2 * rng.normal() : 0.15 * rng.normal());
    tensors[slot.hf_name] = std::move(tensor);
  }
  return tensors;
}

/// Bytes of one tensor under the name and type it is stored with.
struct StoredTensor {
  TensorSpec spec;
  std::vector<std::byte> bytes;
};

inline void write_stored(const std::filesystem::path& path, const std::vector<StoredTensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const StoredTensor& tensor : tensors) specs.push_back(tensor.spec);
  AtomicFile file(path, true);
  SafetensorsWriter writer(file, specs, {});
  for (const StoredTensor& tensor : tensors) writer.write(tensor.bytes);
  writer.finish();
  file.commit();
}

inline StoredTensor plain_tensor(const std::string& name, const FloatTensor& tensor) {
  const auto bytes = std::as_bytes(std::span(tensor.values));
  return {{name, DType::kF32, tensor.shape}, {bytes.begin(), bytes.end()}};
}

/// A matrix in int8 or int4, as its two stored tensors.
inline std::vector<StoredTensor> packed_tensors(const std::string& name, const FloatTensor& tensor,
                                                const WeightFormat& format) {
  const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
  const RowBytes row = row_bytes(format, cols);
  std::vector<std::byte> codes(row.codes * static_cast<size_t>(rows)),
      scales(row.scales * static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; ++r)
    format_ops(format).quantize_row(format, tensor.values.data() + r * cols, cols, nullptr,
                                    {codes.data() + static_cast<size_t>(r) * row.codes,
                                     scales.data() + static_cast<size_t>(r) * row.scales, nullptr});
  const bool is_int8 = format.kind == WeightKind::kInt8;
  const std::string base = name.substr(0, name.size() - std::string(".weight").size());
  TensorSpec code_spec{base + ".weight", DType::kI8, {rows, cols}};
  TensorSpec scale_spec{base + ".weight_scale", DType::kF32, {rows}};
  if (!is_int8) {
    code_spec = {base + ".weight_packed", DType::kU8, {rows, cols / 2}};
    scale_spec = {base + ".weight_scale", DType::kF16, {rows, cols / format.group_size}};
  }
  return {{code_spec, codes}, {scale_spec, scales}};
}

/// The values a matrix has after it was packed.
inline FloatTensor unpacked(const FloatTensor& tensor, const WeightFormat& format) {
  const auto stored = packed_tensors("x.weight", tensor, format);
  const WeightView view{format, tensor.shape[0], tensor.shape[1], stored[0].bytes, stored[1].bytes, {}};
  return {tensor.shape, decode_rows(view)};
}

inline void write_config(const std::filesystem::path& folder, const nlohmann::json& config) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump();
}

/// Matrices that multiply or are looked up; MPNet's relative biases, [buckets, heads], stay floats.
inline bool is_packable(const std::string& name, const FloatTensor& tensor) {
  return tensor.shape.size() == 2 && name.find("relative") == std::string::npos;
}

/// A checkpoint in F32.
inline void write_float_encoder(const std::filesystem::path& folder, const nlohmann::json& config,
                                const FloatTensors& tensors) {
  write_config(folder, config);
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : tensors) stored.push_back(plain_tensor(name, tensor));
  write_stored(folder / "model.safetensors", stored);
}

/// The same with every matrix in int8 or int4.
inline void write_packed_encoder(const std::filesystem::path& folder, nlohmann::json config,
                                 const FloatTensors& tensors, const WeightFormat& format) {
  const bool is_int8 = format.kind == WeightKind::kInt8;
  config["quantization_config"] = {{"quant_method", "assay"},
                                   {"format", is_int8 ? "int8" : "int4"},
                                   {"group_size", is_int8 ? 64 : format.group_size},
                                   {"tensors", nlohmann::json::object()},
                                   {"version", 1}};
  for (const auto& [name, tensor] : tensors)
    if (tensor.shape.size() == 2 && !is_packable(name, tensor))
      config["quantization_config"]["tensors"][name] = "F32";
  write_config(folder, config);
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : tensors) {
    if (is_packable(name, tensor)) {
      for (StoredTensor& part : packed_tensors(name, tensor, format)) stored.push_back(std::move(part));
    } else {
      stored.push_back(plain_tensor(name, tensor));
    }
  }
  write_stored(folder / "model.safetensors", stored);
}

/// Texts of the given lengths with ids below `vocab`; segments change in the middle where `pairs`.
inline std::vector<Encoding> random_texts(const std::vector<int64_t>& lengths, int64_t vocab, bool pairs,
                                          uint64_t seed) {
  Rng rng(seed);
  std::vector<Encoding> texts;
  for (const int64_t length : lengths) {
    Encoding text;
    for (int64_t t = 0; t < length; ++t) {
      text.ids.push_back(static_cast<TokenId>(rng.below(static_cast<uint64_t>(vocab))));
      text.types.push_back(pairs && 2 * t >= length ? 1 : 0);
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

using Rows = std::vector<std::vector<float>>;

/// What a run gives for each text, in the texts' order.
inline Rows run_rows(EncoderRunner& runner, std::span<const Encoding> texts, EncoderOutput output) {
  Rows rows(texts.size());
  runner.run(texts, output, [&](size_t i, std::span<const float> values) {
    EXPECT_TRUE(rows[i].empty()) << "text " << i << " came twice";
    rows[i].assign(values.begin(), values.end());
  });
  return rows;
}

/// Largest difference relative to the root mean square of `expected`, over all rows.
inline double relative_difference(const Rows& ours, const Rows& expected) {
  double largest = 0.0, squares = 0.0, count = 0.0;
  EXPECT_EQ(expected.size(), ours.size());
  for (size_t t = 0; t < expected.size(); ++t) {
    EXPECT_EQ(expected[t].size(), ours[t].size());
    for (size_t i = 0; i < expected[t].size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(ours[t][i]) - expected[t][i]));
      squares += static_cast<double>(expected[t][i]) * expected[t][i];
      count += 1.0;
    }
  }
  return largest / std::sqrt(squares / count);
}

/// Root mean square of the difference relative to that of `expected`.
inline double relative_rms(const Rows& ours, const Rows& expected) {
  double errors = 0.0, squares = 0.0;
  for (size_t t = 0; t < expected.size(); ++t)
    for (size_t i = 0; i < expected[t].size(); ++i) {
      const double error = static_cast<double>(ours[t][i]) - expected[t][i];
      errors += error * error;
      squares += static_cast<double>(expected[t][i]) * expected[t][i];
    }
  return std::sqrt(errors / squares);
}

}  // namespace assay::test
