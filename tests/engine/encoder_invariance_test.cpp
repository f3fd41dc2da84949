// A text's result is the same, bit for bit, in any batch, for any number of threads, on every instruction
// set, and whether one row of the last layer is computed or all of them.
#include "engine/encoder_support.hpp"

namespace assay {
namespace {
using test::Rows;

/// Lengths around every border that a batch or a block has: one token, whole blocks, more than a window.
const std::vector<int64_t> kLengths = {1, 2, 7, 16, 17, 31, 32, 33, 64, 77, 5, 64, 3};

class EncoderInvariance : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const nlohmann::json config = test::tiny_encoder_config(GetParam());
    const test::FloatTensors tensors = test::random_tensors(config, 11);
    test::write_float_encoder(folder_ / "f32", config, tensors);
    test::write_packed_encoder(folder_ / "int8", config, tensors, int8_format());
    test::write_packed_encoder(folder_ / "int4", config, tensors, int4_format(32));
    texts_ = test::random_texts(kLengths, 40, GetParam() == "bert", 5);
  }

  /// Hidden states, first rows and logits of one run.
  static std::vector<Rows> run_all(const ModelFile& model, const EngineOptions& options,
                                   const EncoderKernels& kernels, std::span<const Encoding> texts) {
    EncoderRunner runner(model, options, kernels);
    std::vector<Rows> all;
    for (const EncoderOutput output :
         {EncoderOutput::kHidden, EncoderOutput::kFirst, EncoderOutput::kSequence})
      all.push_back(test::run_rows(runner, texts, output));
    return all;
  }

  const EncoderKernels& scalar() const { return *available_encoder_kernels().front(); }

  test::TemporaryFolder folder_;
  std::vector<Encoding> texts_;
};

TEST_P(EncoderInvariance, ThreadsAndInstructionSetsGiveTheSameBits) {
  for (const char* format : {"f32", "int8", "int4"}) {
    const ModelFile model = ModelFile::open(folder_ / format);
    for (const Compute compute : {Compute::kExact, Compute::kFast}) {
      const auto expected = run_all(model, {1, compute}, scalar(), texts_);
      for (const EncoderKernels* kernels : available_encoder_kernels())
        for (const int threads : {1, 3}) {
          // The scalar table is slow, and 1 thread of it is what all is compared with: one more run of it.
          const bool once_more = threads == 3 && compute == Compute::kFast && format == std::string("int8");
          if (kernels == &scalar() && !once_more) continue;
          EXPECT_EQ(expected, run_all(model, {threads, compute}, *kernels, texts_))
              << format << " " << compute_name(compute) << " " << kernels->isa << " " << threads;
        }
    }
  }
}

TEST_P(EncoderInvariance, ATextAloneGivesTheBitsItGivesAmongOthers) {
  for (const char* format : {"f32", "int8", "int4"}) {
    const ModelFile model = ModelFile::open(folder_ / format);
    const auto together = run_all(model, {2, Compute::kFast}, encoder_kernels(), texts_);
    for (size_t i = 0; i < texts_.size(); ++i) {
      const auto alone = run_all(model, {2, Compute::kFast}, encoder_kernels(), {&texts_[i], 1});
      for (size_t output = 0; output < together.size(); ++output)
        EXPECT_EQ(together[output][i], alone[output][0]) << format << " text " << i;
    }
  }
}

TEST_P(EncoderInvariance, ManyTextsOfManyBatchesGiveTheBitsOfFew) {
  const ModelFile model = ModelFile::open(folder_ / "int8");
  std::vector<Encoding> many;
  for (int i = 0; i < 20; ++i) many.insert(many.end(), texts_.begin(), texts_.end());
  const auto few = run_all(model, {1, Compute::kFast}, encoder_kernels(), texts_);
  for (const int threads : {1, 2, 3}) {
    const auto all = run_all(model, {threads, Compute::kFast}, encoder_kernels(), many);
    for (size_t output = 0; output < few.size(); ++output)
      for (size_t i = 0; i < many.size(); ++i)
        ASSERT_EQ(few[output][i % texts_.size()], all[output][i]) << threads << " threads, text " << i;
  }
}

TEST_P(EncoderInvariance, TheFirstRowAloneIsTheFirstOfAll) {
  for (const char* format : {"f32", "int8"}) {
    const ModelFile model = ModelFile::open(folder_ / format);
    const auto rows = run_all(model, {2, Compute::kFast}, encoder_kernels(), texts_);
    for (size_t i = 0; i < texts_.size(); ++i) {
      ASSERT_EQ(64u, rows[1][i].size());
      EXPECT_EQ(rows[1][i], std::vector<float>(rows[0][i].begin(), rows[0][i].begin() + 64)) << "text " << i;
    }
  }
}

TEST_P(EncoderInvariance, OneOtherTokenChangesTheBits) {
  // The comparisons above would notice: another last token changes every row of its text that can see it.
  const ModelFile model = ModelFile::open(folder_ / "int8");
  const auto before = run_all(model, {1, Compute::kFast}, encoder_kernels(), {&texts_[3], 1});
  Encoding changed = texts_[3];
  changed.ids.back() = (changed.ids.back() + 1) % 40;
  const auto after = run_all(model, {1, Compute::kFast}, encoder_kernels(), {&changed, 1});
  for (size_t output = 0; output < before.size(); ++output) EXPECT_NE(before[output], after[output]);
}

INSTANTIATE_TEST_SUITE_P(Families, EncoderInvariance, testing::ValuesIn(test::encoder_families()),
                         [](const auto& case_info) { return case_info.param; });

}  // namespace
}  // namespace assay
