#include "engine/encoder.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "engine/encoder_head.hpp"
#include "engine/encoder_runner.hpp"

namespace assay {
namespace {

/// `model`'s configuration; throws Error when it is no encoder.
const ModelConfig& encoder_config(const ModelFile& model) {
  if (!model.config().encoder)
    throw Error({"not an encoder", model.path().string(), "BERT, DistilBERT, RoBERTa, ModernBERT or MPNet",
                 model.config().architecture, "a model that generates text?"});
  return model.config();
}

int64_t longest_text(const ModelConfig& config) {
  const EncoderTraits& traits = *config.encoder;
  int64_t longest = config.max_context > 0 ? config.max_context : std::numeric_limits<int64_t>::max();
  if (traits.position_rows > 0) longest = std::min(longest, traits.position_rows - traits.position_offset);
  return longest;
}

}  // namespace

EncoderRunner::EncoderRunner(const ModelFile& model, const EngineOptions& options,
                             const EncoderKernels& kernels)
    : config_(encoder_config(model)),
      path_(model.path()),
      compute_(options.compute),
      pool_(options.threads > 0 ? options.threads : count_physical_cores()),
      weights_(gather_encoder_weights(model, options.compute, kernels, pool_)),
      positions_(config_, weights_.relative),
      parts_{config_, kernels, weights_, positions_},
      max_tokens_(longest_text(config_)) {}

void EncoderRunner::check_text(const Encoding& text) const {
  if (text.ids.empty()) throw Error("no tokens to run");
  if (static_cast<int64_t>(text.ids.size()) > max_tokens_)
    throw Error({"the text is longer than the model's positions",
                 path_.string(),
                 "at most " + std::to_string(max_tokens_) + " tokens",
                 std::to_string(text.ids.size()),
                 {}});
  for (const TokenId id : text.ids)
    if (id < 0 || id >= weights_.word.rows)
      throw Error({"token id outside the vocabulary", path_.string(),
                   "below " + std::to_string(weights_.word.rows), std::to_string(id),
                   "tokenizer of another model?"});
  const int64_t types = config_.encoder->type_rows;
  if (types <= 1 || text.types.empty()) return;
  ASSAY_CHECK(text.types.size() == text.ids.size());
  for (const int32_t type : text.types)
    if (type < 0 || type >= types)
      throw Error({"segment number outside the table", path_.string(), "below " + std::to_string(types),
                   std::to_string(type), "tokenizer of another model?"});
}

void EncoderRunner::check_output(EncoderOutput output) const {
  const EncoderHead& head = config_.encoder->head;
  const auto need = [&](bool present, const char* what) {
    if (!present)
      throw Error({what, path_.string(), {}, {}, "was it made for another task, or saved without its head?"});
  };
  if (output == EncoderOutput::kSequence)
    need(head.kind == EncoderHeadKind::kSequence, "the model has no head that classifies texts");
  if (output == EncoderOutput::kToken)
    need(head.kind == EncoderHeadKind::kToken, "the model has no head that classifies tokens");
  if (output == EncoderOutput::kPooler) need(head.has_pooler, "the model has no pooler");
}

void EncoderRunner::run(std::span<const Encoding> texts, EncoderOutput output,
                        const Encoder::VisitRows& visit) {
  check_output(output);
  for (const Encoding& text : texts) check_text(text);
  const EncoderPlan plan = plan_batches(texts, pool_.size());
  positions_.reserve(plan.longest);
  if (plan.one_thread_each) {
    pool_.run(static_cast<int64_t>(plan.batches.size()), [&](int64_t i) {
      run_batch(texts, plan.batches[static_cast<size_t>(i)], output, visit, Team());
    });
  } else {
    for (const EncoderBatch& batch : plan.batches) run_batch(texts, batch, output, visit, Team(pool_));
  }
}

void EncoderRunner::run_batch(std::span<const Encoding> texts, const EncoderBatch& batch,
                              EncoderOutput output, const Encoder::VisitRows& visit, const Team& team) {
  const auto work = batches_.borrow();
  const bool reads_mean = output == EncoderOutput::kSequence && config_.encoder->head.pools_mean;
  const bool per_token = output == EncoderOutput::kHidden || output == EncoderOutput::kToken;
  std::span<float> rows = run_encoder_layers(parts_, texts, batch,
                                             per_token || reads_mean ? WantedRows::kAll : WantedRows::kFirst,
                                             *work, blocks_, team);
  if (reads_mean) rows = mean_rows(parts_, batch, rows, *work);
  if (output == EncoderOutput::kPooler) rows = run_pooler(parts_, rows, *work, blocks_, team);
  if (output == EncoderOutput::kSequence || output == EncoderOutput::kToken)
    rows = run_classifier(parts_, rows, *work, blocks_, team);
  const size_t width = rows.size() / static_cast<size_t>(per_token ? batch.tokens() : batch.count());
  const std::lock_guard lock(visiting_);
  for (size_t text = 0; text < batch.texts.size(); ++text) {
    const auto first = per_token ? static_cast<size_t>(batch.begin[text]) : text;
    const auto count = per_token ? static_cast<size_t>(batch.length(static_cast<int64_t>(text))) : size_t{1};
    visit(batch.texts[text], rows.subspan(first * width, count * width));
  }
}

struct Encoder::State {
  State(const ModelFile& model, const EngineOptions& options) : runner(model, options, encoder_kernels()) {}
  EncoderRunner runner;
};

Encoder::Encoder(const ModelFile& model, const EngineOptions& options)
    : state_(std::make_unique<State>(model, options)) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

const ModelConfig& Encoder::config() const noexcept {
  return state_->runner.config();
}
Compute Encoder::compute() const noexcept {
  return state_->runner.compute();
}
int Encoder::threads() const noexcept {
  return state_->runner.pool().size();
}
uint64_t Encoder::resident_weight_bytes() const noexcept {
  return state_->runner.weights().bytes();
}
int64_t Encoder::max_tokens() const noexcept {
  return state_->runner.max_tokens();
}
ThreadPool& Encoder::pool() noexcept {
  return state_->runner.pool();
}

void Encoder::hidden_states(std::span<const Encoding> texts, const VisitRows& visit) {
  state_->runner.run(texts, EncoderOutput::kHidden, visit);
}
void Encoder::first_rows(std::span<const Encoding> texts, const VisitRows& visit) {
  state_->runner.run(texts, EncoderOutput::kFirst, visit);
}
void Encoder::sequence_logits(std::span<const Encoding> texts, const VisitRows& visit) {
  state_->runner.run(texts, EncoderOutput::kSequence, visit);
}
void Encoder::token_logits(std::span<const Encoding> texts, const VisitRows& visit) {
  state_->runner.run(texts, EncoderOutput::kToken, visit);
}
void Encoder::pooler_output(std::span<const Encoding> texts, const VisitRows& visit) {
  state_->runner.run(texts, EncoderOutput::kPooler, visit);
}

}  // namespace assay
