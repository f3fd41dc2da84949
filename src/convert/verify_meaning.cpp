#include "convert/verify_meaning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/directory_output.hpp"
#include "models/rope_config.hpp"
#include "text/tokenizer.hpp"

namespace assay {
namespace {

void expect_equal(const char* name, int64_t expected, int64_t found) {
  if (expected != found)
    throw Error(Fault{
        "configuration differs from the source", name, std::to_string(expected), std::to_string(found), {}});
}

/// Equal after both went through F32, as GGUF stores them.
void expect_close(const char* name, double expected, double found) {
  if (static_cast<float>(expected) != static_cast<float>(found) &&
      std::fabs(expected - found) > 1e-6 * std::fabs(expected))
    throw Error(Fault{"configuration differs from the source",
                      name,
                      fmt::format("{}", expected),
                      fmt::format("{}", found),
                      {}});
}

/// The frequencies' divisors as numbers, however a container tells them.
std::vector<float> rope_factors(const RopeConfig& rope) {
  if (rope.scaling == RopeConfig::Scaling::kLlama3) return llama3_rope_factors(rope);
  if (rope.scaling == RopeConfig::Scaling::kFactors) return rope.factors;
  return {};
}

/// What a GGUF cannot hold is not asked of it: dynamic scaling, which the plan's notes tell.
void compare_rope(const RopeConfig& output, const RopeConfig& source, bool gguf) {
  using Scaling = RopeConfig::Scaling;
  expect_close("rope base", source.base, output.base);
  expect_equal("rotated dimensions", source.dim, output.dim);
  const std::vector<float> expected = rope_factors(source), found = rope_factors(output);
  expect_equal("rope factors", static_cast<int64_t>(expected.size()), static_cast<int64_t>(found.size()));
  for (size_t i = 0; i < expected.size(); ++i)
    expect_close("rope factors", static_cast<double>(expected[i]), static_cast<double>(found[i]));
  if (!expected.empty() || (gguf && source.scaling == Scaling::kDynamicNtk)) return;
  if (source.scaling != output.scaling)
    throw Error(Fault{"configuration differs from the source", "rope scaling", {}, {}, {}});
  expect_close("rope factor", source.factor, output.factor);
  expect_close("rope attention factor", rope_attention_factor(source), rope_attention_factor(output));
  if (source.scaling == Scaling::kNone || source.scaling == Scaling::kLinear) return;
  expect_equal("rope original context", source.original_context, output.original_context);
  if (source.scaling != Scaling::kYarn) return;
  expect_close("yarn beta_fast", source.beta_fast, output.beta_fast);
  expect_close("yarn beta_slow", source.beta_slow, output.beta_slow);
  expect_equal("yarn truncate", source.truncate, output.truncate);
}

std::string list_numbers(const auto& numbers) {
  return numbers.empty() ? "none" : fmt::format("{}", fmt::join(numbers, " "));
}

/// The window of every layer; a source without any and one of zeros mean the same.
void compare_windows(const ModelConfig& output, const ModelConfig& source) {
  const auto windows = [](const ModelConfig& model) {
    std::vector<int64_t> list = model.sliding_window;
    list.resize(static_cast<size_t>(model.n_layers), 0);
    return list;
  };
  if (windows(output) != windows(source))
    throw Error(Fault{"configuration differs from the source",
                      "sliding window by layer",
                      list_numbers(windows(source)),
                      list_numbers(windows(output)),
                      {}});
}

/// An MLX configuration takes its ids from the source's configuration or its generation configuration, so it
/// may lack some, but neither have others nor none. A GGUF's ids are the tokenizer's and compared there.
void compare_token_ids(const char* name, const std::vector<int32_t>& output,
                       const std::vector<int32_t>& source) {
  const auto known = [&](int32_t id) { return std::find(source.begin(), source.end(), id) != source.end(); };
  if (output.empty() != source.empty() || !std::all_of(output.begin(), output.end(), known))
    throw Error(
        Fault{"configuration differs from the source", name, list_numbers(source), list_numbers(output), {}});
}

std::string describe_attention(const EncoderTraits& traits) {
  std::string text;
  for (const EncoderAttention& layer : traits.layers)
    text += fmt::format("{}{}/{}", text.empty() ? "" : " ", layer.window, layer.rope_base);
  return text;
}

/// Everything that changes what an encoder computes, and what its answers are called.
void compare_encoders(const EncoderTraits& output, const EncoderTraits& source) {
  const auto expect_text = [](const char* name, const std::string& expected, const std::string& found) {
    if (expected != found)
      throw Error(Fault{"configuration differs from the source", name, expected, found, {}});
  };
  const auto number = [](auto value) { return static_cast<int64_t>(value); };
  expect_equal("positions", source.position_rows, output.position_rows);
  expect_equal("first position", source.position_offset, output.position_offset);
  expect_equal("token types", source.type_rows, output.type_rows);
  expect_equal("norms before", source.pre_norm, output.pre_norm);
  expect_equal("gated feed-forward", source.gated_mlp, output.gated_mlp);
  expect_equal("activation", number(source.activation), number(output.activation));
  expect_equal("relative position buckets", source.relative_buckets, output.relative_buckets);
  expect_equal("relative position distance", source.relative_max_distance, output.relative_max_distance);
  expect_text("windows and rope bases", describe_attention(source), describe_attention(output));
  expect_equal("padding id", source.pad_id, output.pad_id);
  const EncoderHead &a = source.head, &b = output.head;
  expect_equal("head", number(a.kind), number(b.kind));
  expect_equal("pooler", a.has_pooler, b.has_pooler);
  expect_equal("dense layer of the head", a.has_dense, b.has_dense);
  expect_equal("activation of the head", number(a.dense_activation), number(b.dense_activation));
  expect_equal("norm of the head", a.has_norm, b.has_norm);
  expect_equal("mean over tokens", a.pools_mean, b.pools_mean);
  expect_equal("problem", number(a.problem), number(b.problem));
  expect_text("labels", fmt::format("{}", fmt::join(a.labels, ", ")),
              fmt::format("{}", fmt::join(b.labels, ", ")));
}

constexpr std::string_view kSamples[] = {
    "Once upon a time, there was a little girl named Lily.",
    "and then they all went home to play with the dog and the cat",
    "  two  spaces,\n\nnew lines\tand a tab; 1234567 numbers, can't, I'LL",
    "Grüße aus Köln — naïve café, 東京 и Москва, 👩‍👩‍👧 end",
    "for (int i = 0; i < n; ++i) { sum += x[i] * y[i]; }",
};

}  // namespace

std::string compare_configurations(const ModelFile& output, const ModelConfig& source) {
  const ModelConfig& found = output.config();
  const std::string_view expected_name = architecture_named(source.architecture).gguf_name;
  // Several encoders share a GGUF name, but are no less different for it.
  if (architecture_named(found.architecture).gguf_name != expected_name ||
      (source.encoder && found.architecture != source.architecture))
    throw Error(Fault{"configuration differs from the source",
                      "architecture",
                      source.architecture,
                      found.architecture,
                      {}});
  expect_equal("layers", source.n_layers, found.n_layers);
  expect_equal("hidden size", source.hidden_dim, found.hidden_dim);
  expect_equal("heads", source.n_heads, found.n_heads);
  expect_equal("key-value heads", source.n_kv_heads, found.n_kv_heads);
  expect_equal("head size", source.head_dim, found.head_dim);
  expect_equal("feed-forward size", source.ffn_dim, found.ffn_dim);
  expect_equal("vocabulary", source.vocab_size, found.vocab_size);
  expect_equal("context", source.max_context, found.max_context);
  expect_equal("tied embeddings", source.tied_embeddings, found.tied_embeddings);
  expect_close("norm epsilon", source.norm_eps, found.norm_eps);
  const bool gguf = output.gguf() != nullptr;
  if (found.encoder && source.encoder) compare_encoders(*found.encoder, *source.encoder);
  compare_rope(found.rope, source.rope, gguf);
  // llama.cpp attends to everything in these architectures, so files by others may leave the windows out.
  if (!gguf || !found.sliding_window.empty()) compare_windows(found, source);
  if (!gguf) {
    compare_token_ids("bos ids", found.bos_ids, source.bos_ids);
    compare_token_ids("eos ids", found.eos_ids, source.eos_ids);
  }
  return fmt::format("{}: {} layers, hidden {}, {}/{} heads, vocabulary {}, context {}", source.architecture,
                     source.n_layers, source.hidden_dim, source.n_heads, source.n_kv_heads, source.vocab_size,
                     source.max_context);
}

std::string compare_tokenizers(const ModelFile& output, const ConversionSource& source) {
  const Tokenizer expected = Tokenizer::from_directory(source.path());
  const Tokenizer found = output.gguf() != nullptr ? Tokenizer::from_gguf(output.gguf()->metadata())
                                                   : Tokenizer::from_directory(output.path());
  // A GGUF may name an id that the source leaves to its reader, but no other one.
  const auto compare_id = [](const char* name, std::optional<TokenId> want, std::optional<TokenId> have) {
    if (want && want != have)
      throw Error(Fault{
          "the tokenizers disagree", name, std::to_string(*want), have ? std::to_string(*have) : "none", {}});
  };
  compare_id("bos id", expected.bos_id(), found.bos_id());
  compare_id("eos id", expected.eos_id(), found.eos_id());
  size_t ids = 0, left_out = 0;
  for (const std::string_view sample : kSamples) {
    const std::vector<TokenId> a = expected.encode(sample), b = found.encode(sample);
    // llama.cpp has one unknown token per byte where Hugging Face has one per character.
    if (expected.unk_id() && std::find(a.begin(), a.end(), *expected.unk_id()) != a.end()) {
      ++left_out;
      continue;
    }
    const auto joined = [](const std::vector<TokenId>& list) {
      return fmt::format("{}",
                         fmt::join(list.begin(), list.begin() + std::min<size_t>(list.size(), 12), " "));
    };
    if (a != b)
      throw Error(Fault{
          "the tokenizers disagree", fmt::format("\"{}\"", sample.substr(0, 40)), joined(a), joined(b), {}});
    ids += a.size();
  }
  if (left_out == std::size(kSamples))
    throw Error(Fault{"every sample text has characters outside the vocabulary", {}, {}, {}, {}});
  return fmt::format("same {} ids for {} sample texts{}", ids, std::size(kSamples) - left_out,
                     left_out == 0 ? "" : fmt::format(", {} left out for unknown characters", left_out));
}

std::string compare_side_files(const std::filesystem::path& output, const ConversionSource& source) {
  size_t count = 0;
  for (const std::filesystem::path& name : carried_files(source)) {
    if (!std::filesystem::is_regular_file(output / name))
      throw Error(Fault{"a file of the source is missing", (output / name).string(), {}, {}, {}});
    const MappedFile expected(source.path() / name), found(output / name);
    const std::span<const std::byte> a = expected.bytes(), b = found.bytes();
    if (!std::equal(a.begin(), a.end(), b.begin(), b.end()))
      throw Error(Fault{"a file differs from the source's", (output / name).string(), {}, {}, {}});
    ++count;
  }
  return fmt::format("{} files beside the weights as in the source", count);
}

}  // namespace assay
