// int8 and int4 weights: what exact and fast compute make of them, and what they hold in memory.
#include "engine/encoder_support.hpp"

namespace assay {
namespace {
using test::Rows;

class EncoderQuantized : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    config_ = test::tiny_encoder_config(GetParam());
    tensors_ = test::random_tensors(config_, 23);
    texts_ = test::random_texts({5, 18, 40, 64}, 40, false, 3);
  }

  Rows run(const std::filesystem::path& folder, Compute compute) {
    const ModelFile model = ModelFile::open(folder);
    EncoderRunner runner(model, {1, compute}, encoder_kernels());
    return test::run_rows(runner, texts_, EncoderOutput::kHidden);
  }

  /// The float checkpoint whose matrices hold the values that packing leaves.
  void write_decoded(const std::filesystem::path& folder, const WeightFormat& format) {
    test::FloatTensors decoded = tensors_;
    for (auto& [name, tensor] : decoded)
      if (test::is_packable(name, tensor)) tensor = test::unpacked(tensor, format);
    test::write_float_encoder(folder, config_, decoded);
  }

  test::TemporaryFolder folder_;
  nlohmann::json config_;
  test::FloatTensors tensors_;
  std::vector<Encoding> texts_;
};

TEST_P(EncoderQuantized, ExactGivesTheBitsOfTheDecodedWeights) {
  for (const WeightFormat& format : {int8_format(), int4_format(32), int4_format(64)}) {
    if (config_["model_type"] == "modernbert" && format.group_size == 64) continue;  // its width of 96
    test::write_packed_encoder(folder_ / "packed", config_, tensors_, format);
    write_decoded(folder_ / "decoded", format);
    EXPECT_EQ(run(folder_ / "decoded", Compute::kExact), run(folder_ / "packed", Compute::kExact))
        << format_name(format);
  }
}

TEST_P(EncoderQuantized, FastDiffersFromExactByTheActivationsRoundingAlone) {
  // A code of an activation is off by at most half a step, uniformly: step / sqrt(12) with step = (max x -
  // min x) / 255. Rows behind a norm span about 7 times their rms, those behind an activation function, which
  // hardly fall below zero, about 6: relative errors of 7 / 255 / sqrt(12) = 0.8 % and 0.7 % of each
  // product's rms. Four products a layer add up as sqrt(2 · 0.8² + 2 · 0.7²) = 1.5 %, and two to four layers
  // make 2.1 to 3 %, less what the residual stream dilutes. Attention may sharpen it; nothing explains 10 %.
  constexpr double kMost = 0.10;
  // Suspiciously good: without quantized activations the difference would be that of f32 roundings.
  constexpr double kLeast = 5e-4;
  for (const WeightFormat& format : {int8_format(), int4_format(32)}) {
    test::write_packed_encoder(folder_ / "packed", config_, tensors_, format);
    const double error =
        test::relative_rms(run(folder_ / "packed", Compute::kFast), run(folder_ / "packed", Compute::kExact));
    RecordProperty(format_name(format), std::to_string(error));
    EXPECT_LT(error, kMost) << format_name(format);
    EXPECT_GT(error, kLeast) << format_name(format);
  }
}

TEST_P(EncoderQuantized, FloatWeightsGiveTheSameBitsInBothModes) {
  test::write_float_encoder(folder_ / "f32", config_, tensors_);
  EXPECT_EQ(run(folder_ / "f32", Compute::kExact), run(folder_ / "f32", Compute::kFast));
}

TEST_P(EncoderQuantized, AWrongScaleIsSeen) {
  // Planted: one row's scale doubled in one matrix must move the result beyond what fast compute may.
  test::write_packed_encoder(folder_ / "packed", config_, tensors_, int8_format());
  const Rows right = run(folder_ / "packed", Compute::kExact);
  for (auto& [name, tensor] : tensors_) {
    if (tensor.shape.size() != 2 || tensor.shape[0] != 64 || tensor.shape[1] < 96) continue;
    for (float& value : tensor.values) value *= 2.0f;
  }
  test::write_packed_encoder(folder_ / "doubled", config_, tensors_, int8_format());
  EXPECT_GT(test::relative_rms(run(folder_ / "doubled", Compute::kFast), right), 0.10);
}

TEST_P(EncoderQuantized, WeightsTakeTheBytesOfTheirFormatInMemory) {
  int64_t matrix_weights = 0;
  for (const auto& [name, tensor] : tensors_)
    if (tensor.shape.size() == 2) matrix_weights += count_elements(tensor.shape);
  const auto resident = [&](const WeightFormat& format, Compute compute) {
    test::write_packed_encoder(folder_ / "packed", config_, tensors_, format);
    const ModelFile model = ModelFile::open(folder_ / "packed");
    const EncoderRunner runner(model, {1, compute}, encoder_kernels());
    return static_cast<double>(runner.weights().bytes()) / static_cast<double>(matrix_weights);
  };
  // Above the codes stand scales, biases, norms and rows that fill a panel (the head's 3 labels take 32):
  // less than a fifth of these tiny matrices' f32 size.
  EXPECT_LT(resident(int8_format(), Compute::kFast), 1.0 + 0.8);
  EXPECT_LT(resident(int4_format(32), Compute::kFast), 0.5 + 0.9);
  EXPECT_GT(resident(int8_format(), Compute::kExact), 3.0);
}

INSTANTIATE_TEST_SUITE_P(Families, EncoderQuantized, testing::ValuesIn(test::encoder_families()),
                         [](const auto& case_info) { return case_info.param; });

}  // namespace
}  // namespace assay
