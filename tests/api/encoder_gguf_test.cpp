// A GGUF file of an encoder computes what its checkpoint does.
#include <gtest/gtest.h>

#include "convert/convert.hpp"
#include "engine/encoder_model.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

TEST(EncoderGguf, AnF32FileComputesWhatTheCheckpointDoes) {
  const test::TemporaryFolder folder;
  ThreadPool pool(2);
  const std::vector<EncoderText> texts = {{"a red house on the hill"}, {"book", "and table"}};
  for (const char* name :
       {"bert-model", "bert-sequence", "bert-multilabel", "bert-reranker", "distilbert-sequence"}) {
    const std::filesystem::path path = test::source_file(std::string("tests/models/encoders/") + name);
    const auto outputs = convert(ConversionSource::open(path), parse_recipes("gguf:F32"), folder.path(), {},
                                 pool, silent_progress());
    EncoderModel source(path, {}), output(outputs.at(0).path, {});
    EXPECT_EQ(source.embed(texts), output.embed(texts)) << name;
    EXPECT_EQ(source.max_length(), output.max_length()) << name;
    if (source.traits().head.kind == EncoderHeadKind::kNone) continue;
    EXPECT_EQ(source.logits(texts), output.logits(texts)) << name;
    EXPECT_EQ(source.traits().head.labels, output.traits().head.labels) << name;
  }
}

// Planted: a format that rounds must not give the same.
TEST(EncoderGguf, AQuantizedFileComputesSomethingElse) {
  const test::TemporaryFolder folder;
  ThreadPool pool(2);
  const std::filesystem::path path = test::source_file("tests/models/encoders/bert-model");
  const auto outputs = convert(ConversionSource::open(path), parse_recipes("gguf:Q4_0"), folder.path(), {},
                               pool, silent_progress());
  EncoderModel source(path, {}), output(outputs.at(0).path, {});
  const std::vector<EncoderText> texts = {{"a red house on the hill"}};
  EXPECT_NE(source.embed(texts), output.embed(texts));
}

}  // namespace
}  // namespace assay
