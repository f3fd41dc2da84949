#include <algorithm>

#include "assay/assay.hpp"
#include "base/file.hpp"
#include "convert/convert.hpp"
#include "convert/inspect.hpp"
#include "convert/verify.hpp"
#include "engine/encoder_model.hpp"
#include "engine/generate.hpp"
#include "engine/label_probabilities.hpp"

namespace assay::api {
namespace {

ThreadPool make_pool(int threads) {
  return ThreadPool(threads > 0 ? threads : count_physical_cores());
}

EngineOptions engine_options(const ModelOptions& options) {
  return {.threads = options.threads, .compute = options.exact ? Compute::kExact : Compute::kFast};
}

std::vector<EncoderText> encoder_texts(const std::vector<std::string>& texts) {
  std::vector<EncoderText> rows;
  for (const std::string& text : texts) rows.push_back({text});
  return rows;
}

}  // namespace

std::vector<Output> quantize(const std::string& source, const std::vector<std::string>& recipes,
                             const std::string& folder, const QuantizeOptions& options) {
  std::vector<Recipe> parsed;
  for (const std::string& recipe : recipes) parsed.push_back(parse_recipe(recipe));
  ThreadPool pool = make_pool(options.threads);
  const ConversionSource opened = ConversionSource::open(expand_path(source));
  std::vector<Output> outputs;
  for (const ConvertedOutput& made : convert(opened, parsed, expand_path(folder),
                                             {.overwrite = options.overwrite}, pool, silent_progress()))
    outputs.push_back({.recipe = made.plan.recipe.name,
                       .path = made.path.string(),
                       .bytes = made.bytes(),
                       .bits_per_weight = made.plan.bits_per_weight(),
                       .seconds = made.seconds});
  return outputs;
}

std::vector<Check> verify(const std::string& output, const std::string& source, int threads) {
  ThreadPool pool = make_pool(threads);
  std::vector<Check> checks;
  for (const assay::Check& check :
       verify_output(expand_path(output), expand_path(source), pool, silent_progress()).checks)
    checks.push_back({.name = check.name, .ok = check.ok, .detail = check.detail});
  return checks;
}

Inspection inspect(const std::string& path) {
  const assay::Inspection found = inspect_path(expand_path(path));
  return {.verdict = std::string(verdict_name(found.verdict)),
          .reasons = found.reasons,
          .container = found.container,
          .architecture = found.architecture,
          .parameters = found.parameters,
          .bytes = found.bytes,
          .bits_per_weight = found.bits_per_weight()};
}

struct Model::State {
  LanguageModel model;
};

Model::Model(const std::string& path, const ModelOptions& options)
    : state_(new State{LanguageModel(expand_path(path), engine_options(options))}) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

std::string Model::generate(const std::string& prompt, const GenerateOptions& options,
                            const std::function<void(std::string_view)>& on_text) {
  LanguageModel& model = state_->model;
  const bool chat = options.chat_template && model.chat_template() != nullptr;
  const std::vector<TokenId> ids =
      chat ? model.tokenizer().encode(render_chat(model, {{"user", prompt}}, std::nullopt),
                                      {.add_special = false})
           : model.tokenizer().encode(prompt);
  assay::GenerateOptions settings;
  settings.sampling = {.temperature = options.temperature,
                       .top_k = options.top_k,
                       .top_p = options.top_p,
                       .min_p = options.min_p,
                       .repeat_penalty = options.repeat_penalty,
                       .seed = options.seed};
  settings.max_tokens = options.max_tokens;
  settings.stop = options.stop;
  return assay::generate(model, ids, settings, on_text).text;
}

struct Encoder::State {
  EncoderModel model;
};

Encoder::Encoder(const std::string& path, const ModelOptions& options)
    : state_(new State{EncoderModel(expand_path(path), engine_options(options))}) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

std::vector<std::vector<float>> Encoder::embed(const std::vector<std::string>& texts) {
  return state_->model.embed(encoder_texts(texts));
}

const std::vector<std::string>& Encoder::labels() const noexcept {
  return state_->model.traits().head.labels;
}

std::vector<Classification> Encoder::classify(const std::vector<std::string>& texts) {
  std::vector<Classification> answers;
  for (const std::vector<float>& logits : state_->model.logits(encoder_texts(texts))) {
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    answers.push_back({.label = labels()[static_cast<size_t>(best)],
                       .probabilities = label_probabilities(logits, state_->model.traits().head.problem)});
  }
  return answers;
}

}  // namespace assay::api
