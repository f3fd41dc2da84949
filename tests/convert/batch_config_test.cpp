#include "convert/batch_config.hpp"

#include <fstream>

#include "base/error.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

BatchConfig read(const std::string& yaml) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "models.yaml") << yaml;
  return read_batch_config(folder / "models.yaml");
}

std::string refusal(const std::string& yaml) {
  try {
    read(yaml);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_told(const std::string& line, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts)
    EXPECT_NE(line.find(part), line.npos) << "\"" << part << "\" is not in: " << line;
  EXPECT_EQ(line.find('\n'), line.npos) << line;
}

/// An entry with everything; `quantization` may be replaced.
std::string entry(const std::string& quantization) {
  return "models:\n  - name: m\n    hf_name: org/m\n    quantization: " + quantization + "\n";
}

TEST(BatchConfig, ReadsEveryKeyOfTheOldFile) {
  const BatchConfig config = read(R"(
models:
  - name: distilbert-base-uncased-mnli
    hf_name: typeform/distilbert-base-uncased-mnli
    task: zero-shot-classification
    quantization:
      bits: 8
      dtype: int8
      group_size: 32
      target_size_mb: 125
      max_accuracy_drop: 0.015
    benchmarks: [mnli, sentiment_analysis]
  - name: all-MiniLM-L6-v2
    hf_name: sentence-transformers/all-MiniLM-L6-v2
    quantization: {bits: 4}
    target_size_mb: 40
    max_accuracy_drop: 0.01
)");
  ASSERT_EQ(config.models.size(), 2u);
  EXPECT_TRUE(config.warnings.empty());
  const BatchModel& first = config.models[0];
  EXPECT_EQ(first.hf_name, "typeform/distilbert-base-uncased-mnli");
  EXPECT_EQ(first.task, "zero-shot-classification");
  EXPECT_EQ(first.bits, 8);
  EXPECT_EQ(first.group_size, 32);
  EXPECT_EQ(first.target_size_mb, 125.0);
  EXPECT_EQ(first.max_accuracy_drop, 0.015);
  EXPECT_EQ(first.benchmarks, (std::vector<std::string>{"mnli", "sentiment_analysis"}));
  const BatchModel& second = config.models[1];
  EXPECT_EQ(second.bits, 4);
  EXPECT_EQ(second.group_size, 64);
  EXPECT_EQ(second.target_size_mb, 40.0);  // beside quantization, as some files have it
  EXPECT_EQ(second.max_accuracy_drop, 0.01);
}

TEST(BatchConfig, DtypeAloneTellsTheBits) {
  EXPECT_EQ(read(entry("{dtype: int4}")).models[0].bits, 4);
  EXPECT_EQ(read(entry("{}")).models[0].bits, 8);
  EXPECT_EQ(read(entry("null")).models[0].bits, 8);
}

TEST(BatchConfig, UnknownKeysAreWarnedOfWithTheirLine) {
  const BatchConfig config =
      read("models:\n- name: m\n  hf_name: o/m\n  quantisation: {bits: 4}\nversion: 2\n");
  ASSERT_EQ(config.warnings.size(), 2u);
  expect_told(config.warnings[0], {"models.yaml:5", "\"version\""});
  expect_told(config.warnings[1], {"models.yaml:4", "\"quantisation\""});
}

TEST(BatchConfig, RefusesWhatCannotBeWithFileAndLine) {
  expect_told(refusal("models: [\n"), {"models.yaml:", "not valid YAML"});
  expect_told(refusal("models:\n\t- name: m\n"), {"models.yaml:2", "not valid YAML"});
  expect_told(refusal("- name: m\n"), {"not a list of models"});
  expect_told(refusal(""), {"not a list of models"});
  expect_told(refusal("models: []\n"), {"no models"});
  expect_told(refusal("models: [3]\n"), {"no mapping"});
  expect_told(refusal("models:\n  - hf_name: a\n"), {"models.yaml:2", "without name"});
  expect_told(refusal("models:\n  - name: a\n"), {"without hf_name"});
  expect_told(refusal("models:\n  - {name: ../a, hf_name: b}\n"), {"no folder can have", "../a"});
  expect_told(refusal("models:\n  - {name: a, hf_name: b}\n  - {name: a, hf_name: c}\n"),
              {"models.yaml:3", "given twice"});
  expect_told(refusal("models:\n  - {name: a, name: b, hf_name: b}\n"), {"given twice", "name"});
  expect_told(refusal(entry("{bits: 6}")), {"models.yaml:4", "bits", "8 or 4", "6"});
  expect_told(refusal(entry("{bits: eight}")), {"bits", "eight"});
  expect_told(refusal(entry("{bits: 4, dtype: int8}")), {"dtype contradicts bits", "int4"});
  expect_told(refusal(entry("{dtype: float16}")), {"int8 or int4", "float16"});
  expect_told(refusal(entry("{group_size: 128}")), {"group_size", "32 or 64", "128"});
  expect_told(refusal(entry("{target_size_mb: -1}")), {"target_size_mb", "positive", "-1"});
  expect_told(refusal(entry("{target_size_mb: .nan}")), {"target_size_mb"});
  expect_told(refusal(entry("{max_accuracy_drop: 1.5}")), {"max_accuracy_drop", "at most 1"});
  expect_told(refusal(entry("[bits]")), {"quantization is no mapping"});
}

TEST(BatchConfig, AnUnknownNameListsTheKnownOnes) {
  const BatchConfig config = read("models:\n- {name: a, hf_name: x}\n- {name: b, hf_name: y}\n");
  EXPECT_EQ(find_batch_model(config, "b").hf_name, "y");
  try {
    find_batch_model(config, "c");
    FAIL();
  } catch (const UsageError& error) {
    expect_told(error.what(), {"a, b", "\"c\""});
  }
}

}  // namespace
}  // namespace assay
