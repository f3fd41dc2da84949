#include "engine/prompt_cache.hpp"

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "tensor/weight_format.hpp"

namespace assay {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is written as it lies in memory");

constexpr std::string_view kMagic = "ASSAYKV1";
constexpr size_t kDigestLength = 64;
constexpr size_t kHeaderAt = kMagic.size() + 2 * sizeof(uint64_t);

using Json = nlohmann::ordered_json;

/// Settings of the configuration that change keys and values, as text.
std::string settings_text(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  const Json settings = {config.architecture,
                         config.n_layers,
                         config.hidden_dim,
                         config.n_heads,
                         config.n_kv_heads,
                         config.head_dim,
                         config.ffn_dim,
                         config.vocab_size,
                         config.norm_eps,
                         config.sliding_window,
                         rope.base,
                         rope.dim,
                         rope.interleaved,
                         rope.scaling,
                         rope.factor,
                         rope.original_context,
                         rope.low_freq_factor,
                         rope.high_freq_factor,
                         rope.beta_fast,
                         rope.beta_slow,
                         rope.mscale,
                         rope.mscale_all_dim,
                         rope.truncate,
                         rope.factors,
                         rope.attention_factor.value_or(0.0)};
  return settings.dump();
}

/// What a file and a model must agree on.
Json header_of(LanguageModel& model, const KvCache& cache, size_t tokens) {
  return {{"model", model_digest(model)},
          {"compute", compute_name(model.decoder().compute())},
          {"kv", kv_format_name(cache.format())},
          {"layers", model.config().n_layers},
          {"kv_heads", model.config().n_kv_heads},
          {"head_dim", model.config().head_dim},
          {"tokens", tokens}};
}

template <class Visit>
void for_rows(const ModelConfig& config, KvCache& cache, int64_t tokens, const Visit& visit) {
  for (int64_t layer = 0; layer < config.n_layers; ++layer)
    for (const auto part : {KvCache::Part::kKeys, KvCache::Part::kValues})
      for (int64_t head = 0; head < config.n_kv_heads; ++head) visit(cache.packed(part, layer, head, tokens));
}

uint64_t number_at(std::span<const std::byte> bytes, size_t at) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The header of a file that is whole and undamaged, and what follows it up to the digest.
struct Content {
  Json header;
  std::span<const std::byte> body;
};

Content open_content(std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.size() < kMagic.size() || text_of(bytes.first(kMagic.size())) != kMagic)
    throw Error({"not a prompt cache of assay", where, "a file that starts with ASSAYKV1", {}, {}});
  const uint64_t size = bytes.size() < kHeaderAt ? kHeaderAt : number_at(bytes, kMagic.size());
  if (bytes.size() < size)
    throw Error({"the prompt cache is cut off", where, std::to_string(size) + " bytes",
                 std::to_string(bytes.size()), "interrupted copy?"});
  const auto damaged = [&] {
    return Error({"the prompt cache is damaged", where, "its SHA-256", "another", "write it again"});
  };
  if (bytes.size() != size || size < kHeaderAt + kDigestLength) throw damaged();
  const auto content = bytes.first(size - kDigestLength);
  if (sha256_of(content) != text_of(bytes.last(kDigestLength))) throw damaged();
  const uint64_t header = number_at(bytes, kMagic.size() + sizeof(uint64_t));
  if (header > content.size() - kHeaderAt) throw damaged();
  Json json = Json::parse(text_of(content.subspan(kHeaderAt, header)), nullptr, false);
  if (!json.is_object() || !json["tokens"].is_number_unsigned()) throw damaged();
  return {std::move(json), content.subspan(kHeaderAt + header)};
}

/// Throws Error naming the first thing that `found` has otherwise than the model.
void require_same(const Json& expected, const Json& found, const std::string& where) {
  for (const auto& item : expected.items()) {
    const std::string& key = item.key();
    const Json& value = item.value();
    const Json other = found.value(key, Json());
    if (key == "tokens" || other == value) continue;
    const bool option = key == "compute" || key == "kv";
    const auto show = [&](const Json& one) {
      const std::string text = one.is_string() ? one.get<std::string>() : one.dump();
      return option ? "--" + key + " " + text : key + " " + text.substr(0, 16);
    };
    throw Error({option ? "the prompt cache was made with another setting"
                        : "the prompt cache belongs to another model",
                 where,
                 show(value),
                 show(other),
                 {}});
  }
}

}  // namespace

std::string model_digest(LanguageModel& model) {
  const std::vector<ModelTensor>& tensors = model.file().tensors();
  std::vector<std::string> digests(tensors.size());
  model.decoder().pool().run(static_cast<int64_t>(tensors.size()), [&](int64_t i) {
    const ModelTensor& tensor = tensors[static_cast<size_t>(i)];
    const WeightView& weight = tensor.weight;
    Sha256 hash;
    for (const auto part : {weight.codes, weight.scales, weight.biases}) hash.update(part);
    digests[static_cast<size_t>(i)] = tensor.stored_name + " " + format_name(weight.format) + " " +
                                      std::to_string(weight.rows) + " " + std::to_string(weight.cols) + " " +
                                      hash.hex() + "\n";
  });
  std::string all = settings_text(model.config());
  for (const std::string& digest : digests) all += digest;
  return sha256_of(std::as_bytes(std::span(all)));
}

void save_prompt_cache(const std::filesystem::path& path, CachedText& text, LanguageModel& model,
                       bool overwrite) {
  require_fixed_positions(model, "a saved cache");
  const auto count = static_cast<int64_t>(text.tokens.size());
  const std::string header = header_of(model, text.cache, text.tokens.size()).dump();
  const auto tokens = std::as_bytes(std::span(text.tokens));
  uint64_t size = kHeaderAt + header.size() + tokens.size() + kDigestLength;
  for_rows(model.config(), text.cache, count, [&](std::span<std::byte> rows) { size += rows.size(); });
  AtomicFile file(path, overwrite);
  Sha256 hash;
  const auto write = [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    file.write(bytes);
  };
  const uint64_t numbers[] = {size, header.size()};
  write(std::as_bytes(std::span(kMagic)));
  write(std::as_bytes(std::span(numbers)));
  write(std::as_bytes(std::span(header)));
  write(tokens);
  for_rows(model.config(), text.cache, count, [&](std::span<std::byte> rows) { write(rows); });
  file.write(hash.hex());
  ASSAY_CHECK(file.size() == size);
  file.commit();
}

CachedText load_prompt_cache(const std::filesystem::path& path, LanguageModel& model) {
  require_fixed_positions(model, "a saved cache");
  const MappedFile file(path);
  const Content content = open_content(file.bytes(), path.string());
  const auto count = content.header["tokens"].get<uint64_t>();
  const auto limit = static_cast<uint64_t>(model.config().max_context);
  KvCache cache = model.decoder().make_cache(static_cast<int64_t>(std::min(count, limit)));
  require_same(header_of(model, cache, 0), content.header, path.string());
  std::span<const std::byte> body = content.body;
  const uint64_t expected =
      count * (sizeof(TokenId) + KvCache::bytes_per_position(model.config(), cache.format()));
  if (count > limit || body.size() != expected)
    throw Error({"the prompt cache contradicts itself",
                 path.string(),
                 std::to_string(expected) + " bytes",
                 std::to_string(body.size()),
                 {}});
  const auto positions = static_cast<int64_t>(count);
  CachedText text{std::vector<TokenId>(count), std::move(cache)};
  const auto take = [&](std::span<std::byte> to) {
    if (!to.empty()) std::memcpy(to.data(), body.data(), to.size());
    body = body.subspan(to.size());
  };
  take(std::as_writable_bytes(std::span(text.tokens)));
  text.cache.reserve(positions);
  for_rows(model.config(), text.cache, positions, take);
  text.cache.advance(positions);
  return text;
}

}  // namespace assay
