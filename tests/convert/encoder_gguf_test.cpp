// Encoders as GGUF files: the metadata and formats that llama.cpp expects, what its graph cannot express
// refused or told, the file opened again as what it is, and faults planted in it.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "convert/convert.hpp"
#include "convert/tiny_encoder.hpp"
#include "convert/verify.hpp"
#include "models/gguf_encoder_config.hpp"

namespace assay {
namespace {

using Names = std::vector<std::string>;

std::filesystem::path tiny(const char* name) {
  return test::source_file((std::string("tests/models/encoders/") + name).c_str());
}

class EncoderGgufTest : public testing::Test {
 protected:
  std::filesystem::path write(const std::filesystem::path& source, const char* recipe) {
    return convert(ConversionSource::open(source), parse_recipes(recipe), folder_.path(), {}, pool_,
                   silent_progress())
        .at(0)
        .path;
  }

  Plan plan(const std::filesystem::path& source, const char* recipe) {
    return make_plan(ConversionSource::open(source), parse_recipe(recipe));
  }

  Names failures(const std::filesystem::path& output, const std::filesystem::path& source) {
    Names names;
    for (const Check& check : verify_output(output, source, pool_, silent_progress()).checks)
      if (!check.ok) names.push_back(check.name);
    return names;
  }

  std::string refusal(const std::filesystem::path& source) {
    try {
      plan(source, "gguf:Q8_0");
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }

  /// The file again with other metadata, its tensors as they are.
  std::filesystem::path rewrite(const std::filesystem::path& path,
                                const std::function<void(GgufMetadata&)>& change) {
    const GgufFile file(path);
    GgufMetadata metadata = file.metadata();
    change(metadata);
    std::vector<GgufTensorSpec> specs;
    for (const GgufTensor& tensor : file.tensors()) specs.push_back({tensor.name, tensor.dims, tensor.kind});
    const std::filesystem::path copy = folder_ / "copy.gguf";
    AtomicFile out(copy, true);
    GgufWriter writer(out, metadata, specs);
    for (const GgufTensor& tensor : file.tensors()) writer.write(tensor.bytes);
    writer.finish();
    out.commit();
    return copy;
  }

  test::TemporaryFolder folder_;
  ThreadPool pool_{2};
};

bool has_note(const Plan& plan, const char* part) {
  return std::any_of(plan.notes.begin(), plan.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

TEST_F(EncoderGgufTest, MetadataIsWhatLlamaCppReads) {
  const GgufMetadata metadata = plan(tiny("bert-sequence"), "gguf:Q8_0").metadata;
  EXPECT_EQ(metadata.string("general.architecture"), "bert");
  EXPECT_EQ(metadata.integer("bert.block_count"), 1);
  EXPECT_EQ(metadata.integer("bert.context_length"), 64);
  EXPECT_EQ(metadata.integer("bert.embedding_length"), 64);
  EXPECT_EQ(metadata.integer("bert.attention.head_count"), 4);
  EXPECT_FALSE(metadata.boolean_or("bert.attention.causal", true));
  EXPECT_EQ(metadata.integer("bert.pooling_type"), 4);  // rank: scores instead of vectors
  EXPECT_EQ(metadata.strings("bert.classifier.output_labels"),
            (Names{"contradiction", "entailment", "neutral"}));
  EXPECT_EQ(metadata.integer("general.file_type"), 7);
  EXPECT_EQ(metadata.string("tokenizer.ggml.model"), "bert");
  EXPECT_EQ(metadata.integer("tokenizer.ggml.token_type_count"), 2);
  const auto id = [&](const char* name) {
    return metadata.integer("tokenizer.ggml." + std::string(name) + "_token_id");
  };
  EXPECT_EQ((std::vector<int64_t>{id("padding"), id("unknown"), id("bos"), id("cls"), id("seperator"),
                                  id("eos"), id("mask")}),
            (std::vector<int64_t>{0, 1, 2, 2, 3, 3, 4}));
  // DistilBERT has no table of types, and llama.cpp wants at least one.
  EXPECT_EQ(plan(tiny("distilbert-sequence"), "gguf:F32").metadata.integer("tokenizer.ggml.token_type_count"),
            1);
}

TEST_F(EncoderGgufTest, TablesNormsAndBiasesStayF32) {
  for (const char* recipe : {"gguf:F16", "gguf:Q8_0", "gguf:Q4_K_M"})
    for (const PlannedTensor& tensor : plan(tiny("bert-reranker"), recipe).tensors) {
      const bool plain = !tensor.name.ends_with(".weight") || tensor.slot.shape.size() < 2 ||
                         tensor.name == "position_embd.weight" || tensor.name == "token_types.weight" ||
                         tensor.name == "cls.output.weight";  // one label: a row without a count in ggml
      EXPECT_EQ(tensor.format == ggml_format(WeightKind::kF32), plain) << recipe << " " << tensor.name;
    }
}

TEST_F(EncoderGgufTest, EveryRecipeVerifies) {
  for (const char* source : {"bert-model", "bert-sequence", "bert-reranker", "bert-multilabel",
                             "bert-old-names", "distilbert-sequence"})
    for (const char* recipe : {"gguf:F32", "gguf:F16", "gguf:Q8_0", "gguf:Q4_0", "gguf:Q4_K_M"}) {
      const std::filesystem::path path = write(tiny(source), recipe);
      EXPECT_EQ(failures(path, tiny(source)), Names{}) << source << " " << recipe;
    }
  // Without the manifest the recipe comes from what the file says of itself.
  std::filesystem::remove(folder_ / "assay.json");
  EXPECT_EQ(failures(folder_ / "bert-model-Q4_K_M.gguf", tiny("bert-model")), Names{});
}

TEST_F(EncoderGgufTest, FilesWithoutOurKeysAreToldApartByTheirTables) {
  const auto without_keys = [&](const char* name) {
    return rewrite(write(tiny(name), "gguf:F32"), [](GgufMetadata& metadata) {
      GgufMetadata kept;
      for (const auto& [key, value] : metadata.entries())
        if (!key.starts_with("assay.")) kept.set(key, value);
      metadata = std::move(kept);
    });
  };
  EXPECT_EQ(failures(without_keys("distilbert-sequence"), tiny("distilbert-sequence")), Names{});
  EXPECT_EQ(failures(without_keys("bert-model"), tiny("bert-model")), Names{});
  // What only such a key can tell: this one has GELU's tanh approximation.
  EXPECT_EQ(failures(without_keys("bert-sequence"), tiny("bert-sequence")), Names{"configuration"});
}

TEST_F(EncoderGgufTest, SentenceModulesTravelInTheMetadata) {
  SentenceModules modules;
  modules.declared = modules.normalize = modules.lowercase = true;
  modules.pooling = {.cls = true};
  modules.include_prompt = false;
  modules.max_seq_length = 40;
  modules.prompts = {{"query", "query: "}};
  modules.default_prompt_name = "query";
  modules.similarity = "dot";
  GgufMetadata metadata;
  write_gguf_sentence_modules(modules, metadata);
  EXPECT_EQ(metadata.integer("bert.pooling_type"), 2);
  const SentenceModules found = read_gguf_sentence_modules(metadata);
  EXPECT_TRUE(found.declared && found.normalize && found.lowercase && !found.include_prompt);
  EXPECT_EQ(found.pooling, modules.pooling);
  EXPECT_EQ(found.max_seq_length, modules.max_seq_length);
  EXPECT_EQ(found.prompts, modules.prompts);
  EXPECT_EQ(found.default_prompt_name, "query");
  EXPECT_EQ(found.similarity, "dot");
  modules.pooling = {.cls = true, .mean = true};
  EXPECT_THROW(write_gguf_sentence_modules(modules, metadata), Error);
  metadata.set("assay.sentence.prompts", GgufValue::string("{\"query\": 3}"));
  EXPECT_THROW(read_gguf_sentence_modules(metadata), Error);
}

TEST_F(EncoderGgufTest, WhatLlamaCppCannotComputeIsRefusedOrTold) {
  const auto says = [&](const char* source, const char* part) {
    EXPECT_NE(refusal(tiny(source)).find(part), std::string::npos) << source << ": " << refusal(tiny(source));
  };
  says("bert-sentence", "no Dense module");
  says("bert-token", "no head that labels tokens");
  says("bert-question", "question answering");
  says("roberta-sequence", "encoders of this family have no GGUF output yet");
  says("modernbert-sequence", "modernbert");
  says("mpnet-model", "mpnet");
  EXPECT_TRUE(has_note(plan(tiny("distilbert-sequence"), "gguf:F32"), "tanh before the classifier"));
  EXPECT_FALSE(has_note(plan(tiny("bert-sequence"), "gguf:F32"), "tanh before the classifier"));
  EXPECT_TRUE(has_note(plan(tiny("bert-model"), "gguf:F32"), "the pooler is kept as cls"));
  EXPECT_TRUE(has_note(plan(tiny("bert-model"), "gguf:Q4_K_M"), "fall back"));
}

TEST_F(EncoderGgufTest, PlantedMetadataFaultsAreFound) {
  const std::filesystem::path source = tiny("bert-sequence"), good = write(source, "gguf:Q8_0");
  const auto with = [&](const char* key, GgufValue value) {
    return failures(rewrite(good, [&](GgufMetadata& metadata) { metadata.set(key, value); }), source);
  };
  EXPECT_EQ(with("general.name", GgufValue::string("other")), Names{});
  EXPECT_EQ(with("assay.encoder.activation", GgufValue::string("gelu")), Names{"configuration"});
  EXPECT_EQ(with("assay.encoder.problem_type", GgufValue::string("regression")), Names{"configuration"});
  EXPECT_EQ(with("bert.classifier.output_labels", GgufValue::strings({"neutral", "entailment", "other"})),
            Names{"configuration"});
  EXPECT_EQ(with("bert.attention.layer_norm_epsilon", GgufValue::f32(1e-3f)), Names{"configuration"});
  EXPECT_EQ(with("tokenizer.ggml.seperator_token_id", GgufValue::u32(5)), Names{"tokenizer"});
  for (const auto& [key, value] : std::vector<std::pair<const char*, GgufValue>>{
           {"bert.attention.head_count", GgufValue::u32(5)},
           {"bert.context_length", GgufValue::u32(63)},
           {"bert.classifier.output_labels", GgufValue::strings({"one"})},
           {"assay.encoder.architecture", GgufValue::string("mpnet")},
           {"assay.encoder.activation", GgufValue::string("mish")}})
    EXPECT_THROW(ModelFile::open(rewrite(good, [&](GgufMetadata& metadata) { metadata.set(key, value); })),
                 Error)
        << key;
}

}  // namespace
}  // namespace assay
