// What is scored, over how many windows, and that a model differs from another but never from itself.
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/error.hpp"
#include "eval/divergence.hpp"
#include "eval/perplexity.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

const EngineOptions kExactly{.threads = 1, .compute = Compute::kExact};

LanguageModel open_model(const std::string& name) {
  return {test::source_file("tests/models/" + name), kExactly};
}

std::string sample_text() {
  std::string text;
  for (int i = 0; i < 30; ++i) text += "Line " + std::to_string(i * i) + " of a text. ";
  return text;
}

/// A copy of a tiny model whose last weight bytes are replaced by those before them.
void plant_error(const std::filesystem::path& folder) {
  std::filesystem::copy(test::source_file("tests/models/llama-rows256"), folder);
  const std::filesystem::path path = folder / "model.safetensors";
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  in.close();
  constexpr size_t kPlanted = 4096;
  std::memcpy(bytes.data() + bytes.size() - kPlanted, bytes.data() + bytes.size() - 2 * kPlanted, kPlanted);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST(CutWindows, AreFullAndBeginWithABosWhereTheTokenizerAddsOne) {
  for (const char* name : {"llama-rows256", "qwen3-rows256"}) {
    const LanguageModel model = open_model(name);
    const Tokenizer& tokenizer = model.tokenizer();
    const std::vector<TokenId> body = tokenizer.encode(sample_text(), {.add_special = false});
    const size_t bos = tokenizer.adds_bos() ? 1 : 0;
    const auto windows = cut_windows(tokenizer, sample_text(), {.context = 32});
    ASSERT_EQ((body.size() + bos) / 32, windows.size());
    for (size_t w = 0; w < windows.size(); ++w) {
      ASSERT_EQ(32u, windows[w].size());
      for (size_t i = 0; i < 32; ++i)
        EXPECT_EQ(bos == 1 && i == 0 ? *tokenizer.bos_id() : body[w * 32 + i - bos], windows[w][i]);
    }
    EXPECT_EQ(2u, cut_windows(tokenizer, sample_text(), {.context = 32, .max_windows = 2}).size());
    EXPECT_THROW(cut_windows(tokenizer, "short", {.context = 32}), Error);
  }
}

TEST(Perplexity, ScoresTheSecondHalfOfEveryWindow) {
  LanguageModel model = open_model("llama-rows256");
  Progress& progress = silent_progress();
  const PerplexityResult result =
      measure_perplexity(model, sample_text(), {.context = 32, .max_windows = 3}, progress);
  EXPECT_EQ(3, result.windows);
  EXPECT_EQ(3 * 15, result.tokens);  // positions 16 to 30 of each, whose next tokens the window holds
  EXPECT_GT(result.perplexity, 1.0);
  EXPECT_LE(result.nll.low, result.nll.value);
  EXPECT_GE(result.nll.high, result.nll.value);
}

TEST(Perplexity, RefusesWindowsBeyondTheModelsContext) {
  LanguageModel model = open_model("llama-rows256");
  Progress& progress = silent_progress();
  const int64_t limit = model.config().max_context;
  EXPECT_NO_THROW(measure_perplexity(model, sample_text(), {.context = limit, .max_windows = 1}, progress));
  EXPECT_THROW(measure_perplexity(model, sample_text(), {.context = limit + 1, .max_windows = 1}, progress),
               Error);
  EXPECT_THROW(measure_divergence(model, model, sample_text(), {.context = limit + 1}, progress), Error);
}

TEST(Divergence, OfAModelFromItselfIsExactlyZero) {
  LanguageModel model = open_model("llama-rows256"), same = open_model("llama-rows256");
  Progress& progress = silent_progress();
  const DivergenceResult result = measure_divergence(model, same, sample_text(), {.context = 32}, progress);
  EXPECT_EQ(0.0, result.kl.value);
  EXPECT_EQ(0.0, result.figure("kl_max").value);
  EXPECT_EQ(0.0, result.figure("kl_min").value);
  EXPECT_EQ(1.0, result.top1_agreement.value);
  EXPECT_DOUBLE_EQ(1.0, result.top5_agreement.value);
  EXPECT_EQ(0.0, result.nll_difference.value);
  EXPECT_EQ(0.0, result.figure("delta_p_rms").value);
  EXPECT_EQ(result.windows * 31, result.tokens);
}

TEST(Divergence, ShowsAPlantedError) {
  const test::TemporaryFolder folder;
  plant_error(folder / "planted");
  LanguageModel model = open_model("llama-rows256"), other(folder / "planted", kExactly);
  Progress& progress = silent_progress();
  const DivergenceResult result = measure_divergence(model, other, sample_text(), {.context = 32}, progress);
  EXPECT_GT(result.kl.value, 0.0);
  EXPECT_GT(result.figure("kl_max").value, 0.0);
  EXPECT_GT(result.figure("delta_p_rms").value, 0.0);
}

TEST(Divergence, IsTheSameForAnyNumberOfThreadsAndAlongsideOthers) {
  const test::TemporaryFolder folder;
  plant_error(folder / "planted");
  LanguageModel model = open_model("llama-rows256"), other(folder / "planted", kExactly);
  LanguageModel parallel(test::source_file("tests/models/llama-rows256"),
                         {.threads = 3, .compute = Compute::kExact});
  LanguageModel parallel_other(folder / "planted", {.threads = 3, .compute = Compute::kExact});
  Decoder fast(parallel_other.file(), {.threads = 3, .compute = Compute::kFast});
  Progress& progress = silent_progress();
  const DivergenceResult one = measure_divergence(model, other, sample_text(), {.context = 32}, progress);
  const DivergenceCandidate candidates[] = {{&parallel_other, &fast}, {&parallel_other}};
  const auto both =
      measure_divergences(parallel, candidates, text_corpus(sample_text()), {.context = 32}, progress);
  ASSERT_EQ(one.figures.size(), both[1].figures.size());
  for (size_t i = 0; i < one.figures.size(); ++i) {
    EXPECT_EQ(one.figures[i].estimate.value, both[1].figures[i].estimate.value) << one.figures[i].name;
    EXPECT_EQ(one.figures[i].estimate.low, both[1].figures[i].estimate.low) << one.figures[i].name;
  }
  EXPECT_NE(both[0].kl.value, both[1].kl.value) << "integer activations are another arithmetic";
}

TEST(Divergence, ScoresTheSecondHalfWhereAsked) {
  LanguageModel model = open_model("llama-rows256"), same = open_model("llama-rows256");
  Progress& progress = silent_progress();
  const WindowOptions options{.context = 32, .max_windows = 4, .scored = ScoredPositions::kSecondHalf};
  const DivergenceResult result = measure_divergence(model, same, sample_text(), options, progress);
  EXPECT_EQ(4 * 15, result.tokens);
  EXPECT_EQ("16–30", result.curves[0].points.back().label);
  const PerplexityResult perplexity = measure_perplexity(model, sample_text(), options, progress);
  EXPECT_NEAR(perplexity.nll.value, result.nll_reference.value, 1e-12) << "the same positions";
}

TEST(Divergence, RefusesModelsWithOtherTokenizers) {
  LanguageModel model = open_model("llama-rows256"), other = open_model("qwen3-rows256");
  Progress& progress = silent_progress();
  EXPECT_THROW(measure_divergence(model, other, sample_text(), {.context = 32}, progress), Error);
}

}  // namespace
}  // namespace assay
