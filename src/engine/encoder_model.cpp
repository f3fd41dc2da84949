#include "engine/encoder_model.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/pooling.hpp"
#include "engine/stopwatch.hpp"
#include "models/gguf_encoder_config.hpp"
#include "text/unicode.hpp"

namespace assay {
namespace {

/// Texts that a thread tokenizes at a time.
constexpr int64_t kTokenizeGrain = 4;

std::string lower_case(const std::string& text) {
  const std::string valid = text::replace_invalid_utf8(text);
  std::string out;
  for (size_t at = 0; at < valid.size();) text::append_lower(out, text::read_code_point(valid, at));
  return out;
}

/// Without white space at both ends, as Python's str.strip().
std::string strip(const std::string& text) {
  const std::string valid = text::replace_invalid_utf8(text);
  size_t begin = valid.size(), end = 0;
  for (size_t at = 0; at < valid.size();) {
    const size_t start = at;
    const char32_t c = text::read_code_point(valid, at);
    // Python also strips the separators of files, groups, records and units.
    if (text::is_whitespace(c) || (c >= 0x1c && c <= 0x1f)) continue;
    begin = std::min(begin, start);
    end = at;
  }
  return begin < end ? valid.substr(begin, end - begin) : std::string();
}

Tokenizer open_tokenizer(const ModelFile& file) {
  return file.gguf() != nullptr ? Tokenizer::from_gguf(file.gguf()->metadata())
                                : Tokenizer::from_directory(file.path());
}

SentenceModules open_modules(const ModelFile& file) {
  return file.directory() == nullptr ? read_gguf_sentence_modules(file.gguf()->metadata())
                                     : SentenceModules::read(file.path(), file.config().hidden_dim);
}

std::string list_prompts(const SentenceModules& modules) {
  std::string names;
  for (const auto& [name, prompt] : modules.prompts) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "a model with prompts" : names;
}

}  // namespace

EncoderModel::EncoderModel(const std::filesystem::path& path, const EngineOptions& options) {
  const Stopwatch load;
  file_ = std::make_unique<ModelFile>(ModelFile::open(path));
  encoder_ = std::make_unique<Encoder>(*file_, options);
  tokenizer_ = std::make_unique<Tokenizer>(open_tokenizer(*file_));
  if (tokenizer_->vocab_size() > config().vocab_size)
    throw Error({"the tokenizer does not fit the model", path.string(),
                 "at most " + std::to_string(config().vocab_size) + " tokens",
                 std::to_string(tokenizer_->vocab_size()), "tokenizer of another model?"});
  modules_ = open_modules(*file_);
  for (const SentenceDense& dense : modules_.dense)
    dense_.push_back(
        pack_linear(std::span(&dense.weight, 1), dense.bias, options.compute, encoder_kernels()));
  // Sentence-transformers cuts at max_seq_length, whatever tokenizer.json says: all-MiniLM-L6-v2 has 256 and
  // 128 there.
  max_length_ =
      modules_.max_seq_length.value_or(tokenizer_->truncation_length().value_or(encoder_->max_tokens()));
  max_length_ = std::min(max_length_, encoder_->max_tokens());
  load_seconds_ = load.seconds();
}

Encoding EncoderModel::tokenize(const EncoderText& text) const {
  const PairOptions options{.max_length = max_length_};
  if (!modules_.lowercase) return tokenizer_->encode_pair(text.text, text.pair, options);
  std::optional<std::string> pair;
  if (text.pair) pair = lower_case(*text.pair);
  return tokenizer_->encode_pair(lower_case(text.text), pair, options);
}

/// With a prompt (perhaps an empty one) texts are prepared as sentence-transformers does.
std::vector<Encoding> EncoderModel::tokenize_all(std::span<const EncoderText> texts,
                                                 const std::string* prompt) {
  std::vector<Encoding> encodings(texts.size());
  encoder_->pool().run_ranges(static_cast<int64_t>(texts.size()), kTokenizeGrain,
                              [&](int64_t begin, int64_t end) {
                                for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                                  if (prompt == nullptr) {
                                    encodings[i] = tokenize(texts[i]);
                                    continue;
                                  }
                                  EncoderText prepared{strip(*prompt + texts[i].text)};
                                  if (texts[i].pair) prepared.pair = strip(*texts[i].pair);
                                  encodings[i] = tokenize(prepared);
                                }
                              });
  for (const Encoding& encoding : encodings) tokens_run_ += static_cast<int64_t>(encoding.ids.size());
  return encodings;
}

PoolingModes EncoderModel::pooling_of(const EmbedOptions& options) const {
  const PoolingModes modes = options.pooling.value_or(modules_.pooling);
  const int64_t width = modes.count() * config().hidden_dim;
  if (modes.count() == 0) throw Error("no pooling is chosen");
  if (!dense_.empty() && dense_.front().cols != width)
    throw Error({"the pooling does not fit the model's Dense module",
                 file_->path().string(),
                 std::to_string(dense_.front().cols) + " values",
                 std::to_string(width) + " (" + pooling_name(modes) + ")",
                 {}});
  return modes;
}

std::string EncoderModel::prompt_of(const EmbedOptions& options) const {
  if (options.prompt) return *options.prompt;
  const std::string& name = options.prompt_name ? *options.prompt_name : modules_.default_prompt_name;
  if (name.empty()) return {};
  const auto found = modules_.prompts.find(name);
  if (found == modules_.prompts.end())
    throw Error({"the model has no such prompt", file_->path().string(), list_prompts(modules_), name, {}});
  return found->second;
}

/// Tokens at the start of a text that belong to the prompt: it tokenized alone, without a closing special
/// token. Source: sentence_transformers SentenceTransformer.py, _get_prompt_length.
int64_t EncoderModel::prompt_tokens(const std::string& prompt) const {
  if (prompt.empty() || modules_.include_prompt) return 0;
  const Encoding alone = tokenize({strip(prompt)});
  if (alone.ids.empty()) return 0;
  return static_cast<int64_t>(alone.ids.size()) - (tokenizer_->is_special(alone.ids.back()) ? 1 : 0);
}

void EncoderModel::run_dense(std::vector<std::vector<float>>& vectors) {
  for (size_t module = 0; module < dense_.size(); ++module) {
    const PackedLinear& linear = dense_[module];
    std::vector<float> in, out(vectors.size() * static_cast<size_t>(linear.rows));
    for (const std::vector<float>& vector : vectors) in.insert(in.end(), vector.begin(), vector.end());
    ProductInput input;
    input.set(in.data(), linear.cols, static_cast<int64_t>(vectors.size()), linear.cols);
    multiply(linear, input, {.activation = modules_.dense[module].activation}, out.data(), linear.rows,
             encoder_kernels(), Team(encoder_->pool()));
    for (size_t i = 0; i < vectors.size(); ++i)
      vectors[i].assign(out.begin() + static_cast<int64_t>(i) * linear.rows,
                        out.begin() + static_cast<int64_t>(i + 1) * linear.rows);
  }
}

std::vector<std::vector<float>> EncoderModel::embed(std::span<const EncoderText> texts,
                                                    const EmbedOptions& options, const Advance& advance) {
  const PoolingModes modes = pooling_of(options);
  const std::string prompt = prompt_of(options);
  const int64_t skip = prompt_tokens(prompt);
  const std::vector<Encoding> encodings = tokenize_all(texts, &prompt);
  std::vector<std::vector<float>> vectors(texts.size());
  const auto take = [&](size_t i, std::span<const float> rows) {
    vectors[i].resize(static_cast<size_t>(modes.count() * config().hidden_dim));
    pool_rows(modes, rows, config().hidden_dim, skip, vectors[i]);
    if (advance) advance(1);
  };
  if (reads_first_row_only(modes)) {
    encoder_->first_rows(encodings, take);
  } else {
    encoder_->hidden_states(encodings, take);
  }
  run_dense(vectors);
  if (options.normalize.value_or(modules_.normalize))
    for (std::vector<float>& vector : vectors) normalize_length(vector);
  return vectors;
}

std::vector<std::vector<float>> EncoderModel::logits(std::span<const EncoderText> texts,
                                                     const Advance& advance) {
  std::vector<std::vector<float>> rows(texts.size());
  encoder_->sequence_logits(tokenize_all(texts, nullptr), [&](size_t i, std::span<const float> values) {
    rows[i].assign(values.begin(), values.end());
    if (advance) advance(1);
  });
  return rows;
}

std::vector<std::vector<float>> EncoderModel::token_logits(std::span<const EncoderText> texts,
                                                           const Advance& advance) {
  std::vector<std::vector<float>> rows(texts.size());
  encoder_->token_logits(tokenize_all(texts, nullptr), [&](size_t i, std::span<const float> values) {
    rows[i].assign(values.begin(), values.end());
    if (advance) advance(1);
  });
  return rows;
}

int64_t EncoderModel::embedding_dim(const EmbedOptions& options) const {
  const int64_t pooled = pooling_of(options).count() * config().hidden_dim;
  return dense_.empty() ? pooled : dense_.back().rows;
}

}  // namespace assay
