#include "models/model_file.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "io/safetensors.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

using nlohmann::json;

struct Stored {
  DType dtype = DType::kF32;
  Shape shape;
  float value = 0.5f;
};

/// A tiny llama checkpoint that tests change before it is written.
struct TinyCheckpoint {
  json config = {{"model_type", "llama"},  {"hidden_size", 64},          {"intermediate_size", 64},
                 {"num_hidden_layers", 1}, {"num_attention_heads", 2},   {"num_key_value_heads", 1},
                 {"vocab_size", 32},       {"tie_word_embeddings", true}};
  std::map<std::string, Stored> tensors;
  std::map<std::string, std::string> metadata;

  TinyCheckpoint() {
    const ModelConfig model = read_model_config(config, nullptr);
    for (const TensorSlot& slot : tensor_slots(architecture_named("llama"), model))
      tensors[slot.hf_name] = {DType::kF32, slot.shape, 0.5f};
  }

  void write(const std::filesystem::path& folder) const {
    std::ofstream(folder / "config.json") << config.dump();
    std::vector<TensorSpec> specs;
    for (const auto& [name, stored] : tensors) specs.push_back({name, stored.dtype, stored.shape});
    AtomicFile file(folder / "model.safetensors", true);
    SafetensorsWriter writer(file, specs, metadata);
    for (const auto& [name, stored] : tensors) {
      const std::vector<float> values(
          (static_cast<size_t>(count_elements(stored.shape)) * dtype_bytes(stored.dtype) + 3) / 4,
          stored.value);
      writer.write(std::as_bytes(std::span(values))
                       .first(static_cast<size_t>(count_elements(stored.shape)) * dtype_bytes(stored.dtype)));
    }
    writer.finish();
    file.commit();
  }

  std::string fault() const {
    test::TemporaryFolder folder;
    write(folder.path());
    try {
      ModelFile::open(folder.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  std::vector<std::string> notes() const {
    test::TemporaryFolder folder;
    write(folder.path());
    return ModelFile::open(folder.path()).notes();
  }

  void quantize(const std::string& path, int bits, int group, int stored_bits, int stored_group) {
    const Shape shape = tensors.at(path + ".weight").shape;
    tensors[path + ".weight"] = {DType::kU32, {shape[0], shape[1] * stored_bits / 32}, 0.0f};
    tensors[path + ".scales"] =
        tensors[path + ".biases"] = {DType::kF16, {shape[0], shape[1] / stored_group}, 0.0f};
    config["quantization"] = {{"bits", bits}, {"group_size", group}};
  }
};

const std::string kDown = "model.layers.0.mlp.down_proj";

void expect_names(const std::string& fault, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(fault.find(part), std::string::npos) << part << " in: " << fault;
}

TEST(ModelFile, FillsEverySlotOfATinyCheckpoint) {
  test::TemporaryFolder folder;
  TinyCheckpoint().write(folder.path());
  const ModelFile model = ModelFile::open(folder.path());
  EXPECT_EQ(model.container(), Container::kHuggingFace);
  EXPECT_EQ(model.tensors().size(), 11u);
  EXPECT_EQ(&model.output(), model.find(TensorRole::kTokenEmbedding));
  EXPECT_EQ(model.find(TensorRole::kAttnK, 0)->weight.rows, 32);
  EXPECT_EQ(model.find(TensorRole::kAttnK, 1), nullptr);
  EXPECT_TRUE(model.notes().empty());
}

TEST(ModelFile, ListsMissingAndUnknownTensors) {
  TinyCheckpoint missing;
  missing.tensors.erase(kDown + ".weight");
  expect_names(missing.fault(), {"missing", "down_proj.weight"});
  TinyCheckpoint unknown;
  unknown.tensors["model.layers.0.mlp.secret.weight"] = {DType::kF32, {2, 2}, 1.0f};
  expect_names(unknown.fault(), {"does not have", "mlp.secret.weight"});
  TinyCheckpoint untied;
  untied.config["tie_word_embeddings"] = false;
  expect_names(untied.fault(), {"lm_head.weight", "tie_word_embeddings"});
}

TEST(ModelFile, EveryFaultNamesTheDirectory) {
  const test::TemporaryFolder folder;
  TinyCheckpoint checkpoint;
  checkpoint.config["hidden_size"] = "wide";
  checkpoint.write(folder.path());
  try {
    ModelFile::open(folder.path());
    FAIL();
  } catch (const Error& error) {
    expect_names(error.what(), {folder.path().c_str(), "config.json: hidden_size", "wide"});
  }
}

TEST(ModelFile, ListsBuffersItLeavesAside) {
  TinyCheckpoint checkpoint;
  checkpoint.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {DType::kF32, {16}, 1.0f};
  ASSERT_EQ(checkpoint.notes().size(), 1u);
  expect_names(checkpoint.notes()[0], {"inv_freq"});
}

TEST(ModelFile, NamesAWrongShapeAndAWrongType) {
  TinyCheckpoint shape;
  shape.tensors[kDown + ".weight"].shape = {64, 32};
  expect_names(shape.fault(), {"down_proj.weight", "[64, 64]", "[64, 32]"});
  TinyCheckpoint type;
  type.tensors[kDown + ".weight"].dtype = DType::kI8;
  expect_names(type.fault(), {"down_proj.weight", "I8"});
}

TEST(ModelFile, TiedHeadStoredAsHeadAloneIsTheEmbedding) {
  TinyCheckpoint checkpoint;
  checkpoint.tensors["lm_head.weight"] = checkpoint.tensors.at("model.embed_tokens.weight");
  checkpoint.tensors.erase("model.embed_tokens.weight");
  expect_names(checkpoint.notes().at(0), {"embed_tokens", "lm_head"});
  checkpoint.metadata["model.embed_tokens.weight"] = "lm_head.weight";
  expect_names(checkpoint.notes().at(0), {"embed_tokens", "lm_head"});
}

TEST(ModelFile, TiedHeadStoredTwiceIsDroppedAndSaid) {
  TinyCheckpoint checkpoint;
  checkpoint.tensors["lm_head.weight"] = checkpoint.tensors.at("model.embed_tokens.weight");
  expect_names(checkpoint.notes().at(0), {"copy"});
  checkpoint.tensors["lm_head.weight"].value = 0.25f;
  expect_names(checkpoint.notes().at(0), {"differs", "tie_word_embeddings"});
}

TEST(ModelFile, OpensAffineWeightsAndRefusesContradictions) {
  TinyCheckpoint good;
  good.quantize(kDown, 4, 64, 4, 64);
  EXPECT_EQ(good.fault(), "no error");
  // 8 bits in groups of 32 have the same shapes per group product as 4 bits in groups of 64.
  TinyCheckpoint same_product;
  same_product.quantize(kDown, 4, 64, 8, 32);
  expect_names(same_product.fault(), {"down_proj", "4 bits in groups of 64"});
  TinyCheckpoint other_bits;
  other_bits.quantize(kDown, 4, 64, 8, 64);
  expect_names(other_bits.fault(), {"down_proj.weight", "[64, 8]", "[64, 16]"});
  TinyCheckpoint no_biases = good;
  no_biases.tensors.erase(kDown + ".biases");
  expect_names(no_biases.fault(), {"down_proj.biases", "missing"});
  TinyCheckpoint denied = good;
  denied.config["quantization"][kDown] = false;
  expect_names(denied.fault(), {"down_proj.scales", "unquantized"});
  TinyCheckpoint fp = good;
  fp.config["quantization"]["mode"] = "mxfp4";
  expect_names(fp.fault(), {"down_proj", "cannot be decoded yet", "mxfp4"});
}

TEST(ModelFile, SaysWhatAnotherToolPacked) {
  TinyCheckpoint nf4;
  nf4.config["quantization_config"] = {{"quant_method", "bitsandbytes"}, {"bnb_4bit_quant_type", "nf4"}};
  expect_names(nf4.fault(), {"bitsandbytes nf4"});
  TinyCheckpoint gptq;
  gptq.tensors[kDown + ".qweight"] = {DType::kI32, {8, 64}, 0.0f};
  expect_names(gptq.fault(), {"GPTQ"});
}

TEST(ModelFile, OpensTheTestModels) {
  for (const auto& entry : std::filesystem::directory_iterator(test::source_file("tests/models"))) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    EXPECT_NO_THROW(ModelFile::open(entry.path())) << entry.path();
  }
}

TEST(ModelFile, TinyStoriesInBothContainersAgrees) {
  ASSAY_NEED_DATA(folder, "models/TinyStories-656K");
  const ModelFile checkpoint = ModelFile::open(folder);
  const ModelFile gguf = ModelFile::open(folder / "gguf" / "TinyStories-656K-Q8_0.gguf");
  EXPECT_EQ(checkpoint.tensors().size(), gguf.tensors().size());
  EXPECT_TRUE(gguf.config().tied_embeddings);
  EXPECT_TRUE(gguf.config().rope.interleaved);
  EXPECT_FALSE(checkpoint.config().rope.interleaved);
  EXPECT_EQ(gguf.config().eos_ids, checkpoint.config().eos_ids);
  for (const ModelTensor& tensor : checkpoint.tensors())
    EXPECT_NE(gguf.find(tensor.slot.role, tensor.slot.layer), nullptr) << tensor.stored_name;
}

TEST(ModelFile, ReadsGoldenGgufs) {
  for (const char* name : {"tiny_llama_f32.gguf", "tiny_llama_f16.gguf", "tiny_llama_q8.gguf"}) {
    ASSAY_NEED_DATA(path, std::string("golden-arch/neural-api/") + name);
    EXPECT_EQ(ModelFile::open(path).architecture().name, "llama") << name;
  }
}

TEST(ModelFile, VocabularyOnlyGgufSaysThatTensorsAreMissing) {
  ASSAY_NEED_DATA(path, "golden-tok/llama.cpp/ggml-vocab-llama-spm.gguf");
  EXPECT_THROW(ModelFile::open(path), Error);
}

}  // namespace
}  // namespace assay
