// Quantized encoder directories: int8 and int4 as assay writes them, MLX, and weights.npz; and what must not
// open.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/half.hpp"
#include "formats/format.hpp"
#include "io/npz.hpp"
#include "io/npz_writer.hpp"
#include "models/encoder_checkpoint.hpp"
#include "models/npz_weights.hpp"

namespace assay {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;
using test::EncoderCheckpoint;
using test::expect_words;
using test::filled;

const std::string kQuery = "encoder.layer.0.attention.self.query.weight";

/// A BERT whose every matrix is int8, or int4 in groups of `group`.
EncoderCheckpoint packed_bert(const std::string& format, int64_t group = 64) {
  EncoderCheckpoint model = EncoderCheckpoint::bert("Model");
  const auto plain = model.tensors;
  for (const auto& [name, tensor] : plain) {
    if (tensor.shape.size() != 2) continue;
    const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
    if (format == "int8") {
      model.tensors[name] = filled(DType::kI8, {rows, cols});
      model.tensors[name + "_scale"] = filled(DType::kF32, {rows}, 0.25f);
    } else {
      model.tensors.erase(name);
      model.tensors[name + "_packed"] = filled(DType::kU8, {rows, cols / 2});
      model.tensors[name + "_scale"] = filled(DType::kF16, {rows, cols / group});
    }
  }
  model.config["quantization_config"] = {{"quant_method", "assay"},
                                         {"format", format},
                                         {"group_size", group},
                                         {"tensors", json::object()},
                                         {"version", 1}};
  return model;
}

TEST(AssayDirectory, OpensInt8AndInt4) {
  packed_bert("int8").open([](const ModelFile& model) {
    EXPECT_EQ(model.container(), Container::kAssay);
    EXPECT_EQ(container_name(model.container()), "assay");
    const WeightView& weight = model.find(TensorRole::kFfnUp, 0)->weight;
    EXPECT_EQ(format_name(weight.format), "int8");
    EXPECT_EQ(weight.codes.size(), 128u * 64);
    EXPECT_EQ(weight.scales.size(), 128u * 4);
    EXPECT_EQ(model.find(TensorRole::kAttnNorm, 0)->weight.format, plain_format(DType::kF32));
  });
  for (const int64_t group : {32, 64})
    packed_bert("int4", group).open([&](const ModelFile& model) {
      const ModelTensor& tensor = *model.find(TensorRole::kFfnDown, 1);
      EXPECT_EQ(tensor.weight.format, int4_format(static_cast<int>(group)));
      EXPECT_EQ(tensor.weight.bytes(), row_bytes(tensor.weight.format, 128).total() * 64);
      EXPECT_EQ(tensor.stored_name, "encoder.layer.1.output.dense.weight_packed");
    });
}

TEST(AssayDirectory, MixesFormatsThatTheSummaryNames) {
  EncoderCheckpoint mixed = packed_bert("int8");
  mixed.tensors[kQuery] = filled(DType::kF32, {64, 64});
  mixed.tensors.erase(kQuery + "_scale");
  expect_words(mixed.fault(), {kQuery.c_str(), "contradicts", "int8", "F32"});
  mixed.config["quantization_config"]["tensors"][kQuery] = "F32";
  EXPECT_EQ(mixed.fault(), "no error");
  mixed.config["quantization_config"]["tensors"]["encoder.nowhere.weight"] = "F32";
  expect_words(mixed.fault(), {"tensors", "encoder.nowhere.weight"});
}

TEST(AssayDirectory, RefusesASummaryOfOtherWeights) {
  EncoderCheckpoint other = packed_bert("int8");
  other.config["quantization_config"]["format"] = "int4";
  expect_words(other.fault(), {"contradicts the weights", "int4", "int8"});
  EncoderCheckpoint group = packed_bert("int4", 32);
  group.config["quantization_config"]["group_size"] = 64;
  expect_words(group.fault(), {"group_size", "32"});
  EncoderCheckpoint version = packed_bert("int8");
  version.config["quantization_config"]["version"] = 2;
  expect_words(version.fault(), {"version", "newer"});
  EncoderCheckpoint foreign = packed_bert("int8");
  foreign.config.erase("quantization_config");
  expect_words(foreign.fault(), {"another tool"});
}

TEST(AssayDirectory, RefusesPartsThatContradictEachOther) {
  EncoderCheckpoint no_scale = packed_bert("int8");
  no_scale.tensors.erase(kQuery + "_scale");
  expect_words(no_scale.fault(), {"query.weight_scale", "missing"});
  EncoderCheckpoint no_codes = packed_bert("int8");
  no_codes.tensors[kQuery] = filled(DType::kF32, {64, 64});
  expect_words(no_codes.fault(), {"query.weight_scale", "without codes"});
  EncoderCheckpoint few = packed_bert("int8");
  few.tensors[kQuery + "_scale"] = filled(DType::kF32, {63});
  expect_words(few.fault(), {"query.weight_scale", "[64]", "[63]"});
  EncoderCheckpoint half = packed_bert("int8");
  half.tensors[kQuery + "_scale"] = filled(DType::kF16, {64});
  expect_words(half.fault(), {"query.weight_scale", "F32", "F16"});
  EncoderCheckpoint nan = packed_bert("int8");
  nan.tensors[kQuery + "_scale"] = filled(DType::kF32, {64}, NAN);
  expect_words(nan.fault(), {"query.weight_scale", "finite", "row 0"});
  EncoderCheckpoint twice = packed_bert("int4");
  twice.tensors[kQuery] = filled(DType::kF32, {64, 64});
  expect_words(twice.fault(), {"query.weight", "stored twice"});
  EncoderCheckpoint group = packed_bert("int4");
  group.tensors[kQuery + "_scale"] = filled(DType::kF16, {64, 4});
  expect_words(group.fault(), {"no group", "[64, 4]"});
  EncoderCheckpoint narrow = packed_bert("int4");
  narrow.tensors[kQuery + "_packed"] = filled(DType::kU8, {64, 64});
  expect_words(narrow.fault(), {"query.weight_packed", "[64, 32]", "[64, 64]"});
  EncoderCheckpoint stray = packed_bert("int8");
  stray.tensors["encoder.layer.0.output.LayerNorm.weight_scale"] = filled(DType::kF32, {64});
  expect_words(stray.fault(), {"LayerNorm.weight_scale", "without codes"});
}

TEST(AssayDirectory, ChecksTheHeadAndItsLabelsToo) {
  EncoderCheckpoint model = EncoderCheckpoint::bert("ForSequenceClassification", {{"num_labels", 3}});
  model.tensors["classifier.weight"] = filled(DType::kI8, {3, 64});
  model.tensors["classifier.weight_scale"] = filled(DType::kF32, {3}, 0.5f);
  model.config["quantization_config"] = {{"quant_method", "assay"},
                                         {"format", "F32"},
                                         {"version", 1},
                                         {"tensors", {{"classifier.weight", "int8"}}}};
  EXPECT_EQ(model.fault(), "no error");
  model.config["num_labels"] = 2;
  expect_words(model.fault(), {"labels do not match", "3 in classifier.weight"});
}

TEST(MlxEncoder, OpensAffineWeights) {
  EncoderCheckpoint model = EncoderCheckpoint::bert("Model");
  const std::string path = kQuery.substr(0, kQuery.rfind('.'));
  model.tensors[kQuery] = filled(DType::kU32, {64, 8});
  model.tensors[path + ".scales"] = model.tensors[path + ".biases"] = filled(DType::kF16, {64, 1});
  model.config["quantization"] = {{"bits", 4}, {"group_size", 64}};
  model.open([](const ModelFile& file) {
    EXPECT_EQ(file.container(), Container::kMlx);
    EXPECT_EQ(format_name(file.find(TensorRole::kAttnQ, 0)->weight.format), "mlx-4bit-g64");
  });
}

std::vector<float> decode_row(const WeightView& weight, int64_t row) {
  std::vector<float> values(static_cast<size_t>(weight.cols));
  format_ops(weight.format)
      .dequantize_row(weight.format, packed_row(weight, row), weight.cols, values.data());
  return values;
}

TEST(NpzDirectory, OneScaleATensorIsInt8) {
  const fs::path folder = test::source_file("tests/models/encoders/distilbert-npz");
  const ModelFile model = ModelFile::open(folder);
  EXPECT_EQ(container_name(model.container()), "npz");
  EXPECT_EQ(model.files(), std::vector<fs::path>{folder / "weights.npz"});
  EXPECT_TRUE(model.notes().empty());
  const ModelTensor& tensor = *model.find(TensorRole::kFfnDown, 0);
  EXPECT_EQ(format_name(tensor.weight.format), "int8");
  const NpzFile file(folder / "weights.npz");
  const std::vector<std::byte> codes = file.read(*file.find(tensor.stored_name));
  const std::vector<std::byte> stored = file.read(*file.find(tensor.stored_name + ".__scale__"));
  float scale = 0.0f;
  std::memcpy(&scale, stored.data(), sizeof(scale));
  for (const int64_t row : {int64_t{0}, tensor.weight.rows - 1}) {
    const std::vector<float> values = decode_row(tensor.weight, row);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto code = static_cast<int8_t>(codes[static_cast<size_t>(row) * values.size() + i]);
      EXPECT_EQ(values[i], static_cast<float>(code) * scale);
    }
  }
  EXPECT_EQ(model.find(TensorRole::kTokenEmbedding)->weight.format, plain_format(DType::kF32));
}

TEST(NpzDirectory, FloatsWithScalesAreCalledFloats) {
  const ModelFile model = ModelFile::open(test::source_file("tests/models/encoders/distilbert-npz-fake"));
  EXPECT_EQ(model.container(), Container::kNpz);
  EXPECT_EQ(model.find(TensorRole::kFfnDown, 0)->weight.format, plain_format(DType::kF32));
  ASSERT_EQ(model.notes().size(), 1u);
  expect_words(model.notes()[0], {"not quantized", "8 tensors", "32-bit floats"});
}

TEST(NpzDirectory, FaultsAreNamed) {
  const test::TemporaryFolder folder;
  fs::copy(test::source_file("tests/models/encoders/distilbert-npz"), folder.path(),
           fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  json config = read_json_file(folder / "config.json");
  config["n_layers"] = 2;
  std::ofstream(folder / "config.json") << config.dump();
  try {
    ModelFile::open(folder.path());
    FAIL();
  } catch (const Error& error) {
    expect_words(error.what(), {"tensors are missing", "transformer.layer.1"});
  }
  fs::resize_file(folder / "weights.npz", 1000);
  EXPECT_THROW(ModelFile::open(folder.path()), Error);
}

struct NpzPart {
  NpzSpec spec;
  std::vector<std::byte> bytes;
};

/// What opening a tiny BERT says whose weights.npz has `parts` in place of the arrays of their names.
std::string npz_fault(const std::vector<NpzPart>& parts) {
  const EncoderCheckpoint model = EncoderCheckpoint::bert("Model");
  std::vector<NpzSpec> specs;
  std::vector<std::vector<std::byte>> bytes;
  for (const NpzPart& part : parts) specs.push_back(part.spec), bytes.push_back(part.bytes);
  for (const auto& [name, tensor] : model.tensors) {
    if (std::any_of(parts.begin(), parts.end(), [&](const NpzPart& part) { return part.spec.name == name; }))
      continue;
    specs.push_back({name, tensor.dtype, tensor.shape});
    bytes.push_back(tensor.bytes);
  }
  const test::TemporaryFolder folder;
  std::ofstream(folder / "config.json") << model.config.dump();
  write_npz(
      folder / "weights.npz", specs,
      [&](size_t index, uint64_t offset, std::span<std::byte> out) {
        std::memcpy(out.data(), bytes[index].data() + offset, out.size());
      },
      false);
  try {
    ModelFile::open(folder.path());
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(NpzDirectory, ContradictionsAreNamed) {
  const NpzPart codes{{kQuery, DType::kI8, {64, 64}}, std::vector<std::byte>(64 * 64)};
  const NpzPart scale{{kQuery + ".__scale__", DType::kF32, {}}, filled(DType::kF32, {}).bytes};
  EXPECT_EQ(npz_fault({codes, scale}), "no error");
  EXPECT_EQ(npz_fault({codes, {{scale.spec.name, DType::kF32, {1}}, scale.bytes}}), "no error");
  expect_words(npz_fault({codes}), {"codes without a scale", "query.weight.__scale__"});
  expect_words(npz_fault({scale}), {"a scale without codes", "F32"});
  expect_words(npz_fault({codes, {{scale.spec.name, DType::kF32, {64}}, filled(DType::kF32, {64}).bytes}}),
               {"not the scale of a tensor", "[64]"});
  NpzPart low = codes;
  low.bytes[100] = std::byte{0x80};
  expect_words(npz_fault({low, scale}), {"outside its range", "-128"});
  const float nan = NAN;
  NpzPart broken = scale;
  std::memcpy(broken.bytes.data(), &nan, sizeof(nan));
  expect_words(npz_fault({codes, broken}), {"query.weight_scale", "finite"});
  expect_words(npz_fault({{{kQuery, DType::kI32, {64, 64}}, std::vector<std::byte>(64 * 64 * 4)}}),
               {"element type", "I32"});
  expect_words(npz_fault({{{kQuery, DType::kF32, {64, 32}}, std::vector<std::byte>(64 * 32 * 4)}}),
               {"wrong shape", "[64, 64]", "[64, 32]"});
  expect_words(npz_fault({{{"secret", DType::kF32, {4}}, std::vector<std::byte>(16)}}),
               {"does not have", "secret"});
}

TEST(CheckpointDirectory, TensorsInMemoryAreCheckedAndFound) {
  CheckpointDirectory directory(test::source_file("tests/models/encoders/distilbert-npz"), true);
  directory.add_tensor("a", DType::kF32, {2}, std::vector<std::byte>(8));
  ASSERT_NE(directory.find("a"), nullptr);
  EXPECT_EQ(directory.find("a")->bytes.size(), 8u);
  EXPECT_THROW(directory.add_tensor("a", DType::kF32, {2}, std::vector<std::byte>(8)), Error);
  EXPECT_THROW(directory.add_tensor("b", DType::kF32, {3}, std::vector<std::byte>(8)), Error);
}

}  // namespace
}  // namespace assay
