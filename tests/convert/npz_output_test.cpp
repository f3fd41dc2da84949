#include "convert/npz_output.hpp"

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "convert/batch_run.hpp"
#include "convert/conversion_metadata.hpp"
#include "convert/convert.hpp"
#include "convert/inspect.hpp"
#include "convert/tiny_encoder.hpp"
#include "convert/verify.hpp"
#include "io/byte_cursor.hpp"
#include "io/json_text.hpp"
#include "io/npz.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr const char* kQuery = "transformer.layer.0.attention.q_lin.weight";
constexpr const char* kWords = "embeddings.word_embeddings.weight";

/// Names as a model with a head has them, whatever the plan of the test's configuration says.
void add_prefix(test::Tensors& tensors) {
  test::Tensors renamed;
  for (auto& [name, tensor] : tensors) {
    const bool bare = name.starts_with("transformer.") || name.starts_with("embeddings.");
    renamed[(bare ? "distilbert." : "") + name] = std::move(tensor);
  }
  tensors = std::move(renamed);
}

std::vector<float> read_floats(const NpzFile& file, const std::string& name) {
  const std::vector<std::byte> bytes = file.read(*file.find(name));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

class NpzOutput : public testing::Test {
 protected:
  NpzOutput() : pool_(2) {
    test::write_tiny_encoder(source(), test::tiny_distilbert_config(), [&](test::Tensors& tensors) {
      add_prefix(tensors);
      source_ = tensors;
    });
  }

  fs::path source() const { return folder_ / "tiny"; }
  ConvertedOutput run(const std::string& recipe, bool overwrite = false) {
    return convert(ConversionSource::open(source()), {parse_recipe(recipe)}, folder_ / "out",
                   {.overwrite = overwrite}, pool_, silent_progress())[0];
  }

  test::TemporaryFolder folder_;
  test::Tensors source_;
  ThreadPool pool_;
};

TEST(NpzCode, RoundsHalfToEvenAndStaysInRange) {
  EXPECT_EQ(npz_scale(254.0f), 2.0f);
  EXPECT_EQ(npz_scale(0.0f), 1.0f);
  EXPECT_EQ(npz_scale(1e-45f), 1.0f);  // the quotient is no float above 0
  EXPECT_EQ(npz_code(1.0f, 2.0f), 0);
  EXPECT_EQ(npz_code(3.0f, 2.0f), 2);
  EXPECT_EQ(npz_code(-3.0f, 2.0f), -2);
  EXPECT_EQ(npz_code(254.0f, 2.0f), 127);
  EXPECT_EQ(npz_code(-1e9f, 2.0f), -127);
}

TEST_F(NpzOutput, CodesAndScalesAreThoseOfTheDocument) {
  const ConvertedOutput output = run("npz:int8");
  EXPECT_EQ(output.path.filename(), "tiny-mlx-q8-v2");
  const NpzFile file(output.path / "weights.npz");
  const std::vector<float>& weights = source_.at("distilbert." + std::string(kQuery)).second;
  const NpzArray* codes = file.find(kQuery);
  ASSERT_NE(codes, nullptr) << "the base model's prefix is left out";
  EXPECT_EQ(codes->dtype, DType::kI8);
  const NpzArray* scale_array = file.find(std::string(kQuery) + ".__scale__");
  ASSERT_NE(scale_array, nullptr);
  EXPECT_EQ(scale_array->shape, Shape{});
  float largest = 0.0f;
  for (const float weight : weights) largest = std::max(largest, std::fabs(weight));
  const float scale = read_floats(file, scale_array->name)[0];
  EXPECT_EQ(scale, largest / 127.0f);
  const std::vector<std::byte> bytes = file.read(*codes);
  ASSERT_EQ(bytes.size(), weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto code = static_cast<int8_t>(bytes[i]);
    EXPECT_EQ(code, static_cast<int8_t>(std::nearbyint(weights[i] / scale)));
    EXPECT_LE(std::fabs(static_cast<float>(code) * scale - weights[i]), 0.5001f * scale);
  }
}

TEST_F(NpzOutput, LinearsAloneUnlessEmbeddingsAreAskedFor) {
  const auto count_codes = [](const NpzFile& file) {
    return std::count_if(file.arrays().begin(), file.arrays().end(),
                         [](const NpzArray& array) { return array.dtype == DType::kI8; });
  };
  const ConvertedOutput plain = run("npz:int8");
  const NpzFile file(plain.path / "weights.npz");
  EXPECT_EQ(count_codes(file), 2 * 6 + 2);  // the layers' and the head's linears
  EXPECT_EQ(file.find(kWords)->dtype, DType::kF32);
  EXPECT_EQ(read_floats(file, kWords), source_.at("distilbert." + std::string(kWords)).second);
  const ConvertedOutput all = run("npz:int8-emb-int8", true);
  EXPECT_EQ(count_codes(NpzFile(all.path / "weights.npz")), 2 * 6 + 2 + 2);
  EXPECT_LT(all.plan.weight_bytes, plain.plan.weight_bytes);
}

TEST_F(NpzOutput, BytesAreThePlannedOnesAndRepeat) {
  const ConvertedOutput first = run("npz:int8-emb-int8");
  EXPECT_EQ(fs::file_size(first.path / "weights.npz"), first.plan.files[0].bytes);
  uint64_t stored = 0;
  const NpzFile file(first.path / "weights.npz");
  for (const NpzArray& array : file.arrays()) stored += array.bytes;
  EXPECT_EQ(stored, first.plan.weight_bytes);
  const std::string hash = first.files[0].sha256;
  EXPECT_EQ(run("npz:int8-emb-int8", true).files[0].sha256, hash);
}

TEST_F(NpzOutput, OpensVerifiesAndInspectsAsWhatItIs) {
  const ConvertedOutput output = run("npz:int8-emb-int8");
  const Inspection inspection = inspect_path(output.path);
  EXPECT_EQ(inspection.verdict, Verdict::kQuantized) << inspection.reasons.at(0);
  EXPECT_TRUE(inspection.contradictions.empty());
  const Verification verification = verify_output(output.path, source(), pool_, silent_progress());
  for (const Check& check : verification.checks) EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
  // One code beyond its bound must be found.
  fs::remove(folder_ / "out/assay.json");
  const NpzFile file(output.path / "weights.npz");
  std::vector<NpzSpec> specs;
  std::vector<std::vector<std::byte>> numbers;
  for (const NpzArray& array : file.arrays()) {
    specs.push_back({array.name, array.dtype, array.shape});
    numbers.push_back(file.read(array));
    if (array.name == kQuery) numbers.back()[5] ^= std::byte{0x21};
  }
  write_npz(
      output.path / "weights.npz", specs,
      [&](size_t i, uint64_t offset, std::span<std::byte> out) {
        std::memcpy(out.data(), numbers[i].data() + offset, out.size());
      },
      true);
  EXPECT_FALSE(verify_output(output.path, source(), pool_, silent_progress()).ok());
}

TEST_F(NpzOutput, MetadataHasTheOldKeysAndTrueValues) {
  const ConvertedOutput output = run("npz:int8-emb-int8");
  const nlohmann::json metadata = read_json_file(output.path / kConversionMetadataName);
  for (const char* key :
       {"model_name", "hf_name", "model_type", "architecture", "quantization", "conversion_time_seconds",
        "timestamp", "mlx_version", "device", "size_accuracy_ratio", "converter_version"})
    EXPECT_TRUE(metadata.contains(key)) << key;
  const nlohmann::json& quantization = metadata["quantization"];
  for (const char* key : {"bits", "dtype", "method", "target_size_mb", "actual_size_mb", "original_size_mb",
                          "compression_ratio", "group_size"})
    EXPECT_TRUE(quantization.contains(key)) << key;
  EXPECT_EQ(quantization["bits"], 8);
  EXPECT_EQ(quantization["weight_bytes"], output.plan.weight_bytes);
  EXPECT_EQ(quantization["on_disk_bytes"], fs::file_size(output.path / "weights.npz"));
  EXPECT_NEAR(quantization["actual_size_mb"].get<double>(), to_mib(output.plan.weight_bytes), 1e-4);
  EXPECT_NEAR(quantization["original_size_mb"].get<double>(), to_mib(4 * output.plan.parameters), 1e-4);
}

TEST_F(NpzOutput, RefusesWeightsThatAreNoNumbers) {
  fs::remove_all(source());
  test::write_tiny_encoder(source(), test::tiny_distilbert_config(), [](test::Tensors& tensors) {
    add_prefix(tensors);
    tensors.at("distilbert." + std::string(kQuery)).second[70] = NAN;
  });
  try {
    run("npz:int8");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("nan at [1, 6]"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

class BatchRun : public NpzOutput {
 protected:
  BatchConfig config(const std::string& quantization) {
    std::ofstream(folder_ / "models.yaml")
        << "models:\n  - name: small\n    hf_name: org/tiny\n    quantization: " << quantization << "\n";
    return read_batch_config(folder_ / "models.yaml");
  }
  BatchOutcome run_one(const std::string& quantization, BatchRunOptions options = {}) {
    options.output = folder_ / "out";
    return run_batch(config(quantization), options, pool_, silent_progress()).at(0);
  }
};

TEST_F(BatchRun, ConvertsThenSkipsThenReplaces) {
  const BatchOutcome first = run_one("{bits: 8, target_size_mb: 1}");
  ASSERT_EQ(first.error, "");
  EXPECT_EQ(first.status, BatchStatus::kConverted);
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(first.output.filename(), "small-mlx-q8-v2");
  const nlohmann::json metadata = read_json_file(first.output / kConversionMetadataName);
  EXPECT_EQ(metadata["model_name"], "small");
  EXPECT_EQ(metadata["hf_name"], "org/tiny");
  EXPECT_EQ(metadata["quantization"]["target_size_mb"], 1.0);
  EXPECT_NEAR(metadata["size_accuracy_ratio"].get<double>(),
              metadata["quantization"]["actual_size_mb"].get<double>(), 1e-4);
  EXPECT_EQ(run_one("{bits: 8}").status, BatchStatus::kSkipped);
  EXPECT_EQ(run_one("{bits: 8}", {.skip = false}).status, BatchStatus::kConverted);
  EXPECT_EQ(outcome_json(first)["metadata"]["model_name"], "small");
}

TEST_F(BatchRun, WhatIsIncompleteIsNotSkippedAndNotReplacedUnasked) {
  const BatchOutcome first = run_one("{bits: 8}");
  fs::resize_file(first.output / "model.safetensors", 1000);
  EXPECT_FALSE(is_complete_output(first.output, first.recipe));
  const BatchOutcome second = run_one("{bits: 8}");
  EXPECT_EQ(second.status, BatchStatus::kFailed);
  EXPECT_NE(second.error.find("--no-skip"), std::string::npos);
  EXPECT_EQ(run_one("{bits: 8}", {.skip = false}).status, BatchStatus::kConverted);
  EXPECT_FALSE(is_complete_output(first.output, "npz:int8"));
}

TEST_F(BatchRun, AMissedTargetIsSaidWithARemedy) {
  const BatchOutcome eight = run_one("{bits: 8, target_size_mb: 0.01}");
  EXPECT_FALSE(eight.ok());
  ASSERT_EQ(eight.missed.size(), 1u);
  EXPECT_NE(eight.missed[0].find("4 bits are smaller"), std::string::npos) << eight.missed[0];
  const BatchOutcome floats =
      run_one("{bits: 8, target_size_mb: 0.01}", {.embeddings = "fp32", .dry_run = true});
  EXPECT_EQ(floats.status, BatchStatus::kPlanned);
  ASSERT_EQ(floats.missed.size(), 1u);
  EXPECT_NE(floats.missed[0].find("--embeddings int8"), std::string::npos) << floats.missed[0];
}

TEST_F(BatchRun, FourBitsArePackedAndSuggestEightWhenAccuracyFalls) {
  BatchRunOptions options;
  options.measure_accuracy = [](const fs::path&, const fs::path&) { return AccuracyChange{0.9, 0.8, 100}; };
  const BatchOutcome outcome = run_one("{bits: 4, group_size: 32, max_accuracy_drop: 0.05}", options);
  ASSERT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.recipe, "int4-g32");
  EXPECT_EQ(outcome.output.filename(), "small-mlx-q4-v2");
  ASSERT_EQ(outcome.missed.size(), 1u);
  EXPECT_NE(outcome.missed[0].find("--bits 8"), std::string::npos);
  const nlohmann::json metadata = read_json_file(outcome.output / kConversionMetadataName);
  EXPECT_NEAR(metadata["measurements"][0]["accuracy_drop"].get<double>(), 0.1, 1e-12);
  EXPECT_EQ(metadata["quantization"]["bits"], 4);
  EXPECT_EQ(metadata["quantization"]["group_size"], 32);
  // Within the limit nothing is missed.
  options.measure_accuracy = [](const fs::path&, const fs::path&) { return AccuracyChange{0.9, 0.87, 100}; };
  EXPECT_TRUE(run_one("{bits: 4, group_size: 32, max_accuracy_drop: 0.05}", options).ok());
}

TEST_F(BatchRun, AMissingCheckpointIsOneEntrysFault) {
  std::ofstream(folder_ / "models.yaml")
      << "models:\n- {name: a, hf_name: org/absent}\n- {name: b, hf_name: org/tiny}\n";
  BatchRunOptions options;
  options.output = folder_ / "out";
  const auto outcomes =
      run_batch(read_batch_config(folder_ / "models.yaml"), options, pool_, silent_progress());
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[0].status, BatchStatus::kFailed);
  EXPECT_NE(outcomes[0].error.find("org/absent"), std::string::npos);
  EXPECT_EQ(outcomes[1].status, BatchStatus::kConverted);
}

TEST_F(BatchRun, AWordThatIsNoRecipeStopsBeforeTheWork) {
  EXPECT_THROW(run_one("{bits: 8}", {.recipe = "mlx:4bit"}), UsageError);
  EXPECT_THROW(run_one("{bits: 8}", {.model = "other"}), UsageError);
  EXPECT_THROW(run_one("{bits: 8}", {.recipe = "npz:int8", .embeddings = "int4"}),
               UsageError);  // npz has no 4-bit codes
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

}  // namespace
}  // namespace assay
