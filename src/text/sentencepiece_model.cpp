#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "text/json_fields.hpp"
#include "text/tokenizer_files.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

using nlohmann::json;

constexpr const char* kMarker = "\xE2\x96\x81";  // U+2581, SentencePiece's space

/// One field of a protobuf message. Source: protobuf encoding guide (wire types 0, 1, 2, 5).
struct Field {
  uint32_t number = 0;
  uint64_t value = 0;      ///< varint, fixed64 and fixed32
  std::string_view bytes;  ///< length-delimited
};

class ProtobufReader {
 public:
  ProtobufReader(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    field = {};
    field.number = static_cast<uint32_t>(key >> 3);
    switch (key & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.value = fixed(4);
        break;
      default:
        fail("an unknown wire type");
    }
    return true;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error({fmt::format("not a SentencePiece model: {}", what),
                 where_,
                 {},
                 {},
                 "incomplete download, or a Git LFS pointer?"});
  }
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) fail("a field is cut off");
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  uint64_t fixed(size_t count) {
    uint64_t value = 0;
    const std::string_view bytes = take(count);
    for (size_t i = 0; i < count; ++i) value |= uint64_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fail("a number is too long");
  }

  std::string_view rest_;
  const std::string& where_;
};

/// What the tokenizer needs of a ModelProto. Source: google/sentencepiece, src/sentencepiece_model.proto.
struct SentencePieceModel {
  std::vector<std::pair<std::string, int64_t>> pieces;
  std::vector<float> scores;
  std::vector<TokenKind> kinds;
  uint64_t model_type = 1;  ///< 1 unigram, 2 BPE
  std::string charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;

  std::string first_of(TokenKind kind) const {
    for (size_t i = 0; i < kinds.size(); ++i)
      if (kinds[i] == kind) return pieces[i].first;
    return {};
  }
};

void read_piece(std::string_view bytes, const std::string& where, SentencePieceModel& model) {
  std::string piece;
  float score = 0;
  uint64_t kind = 1;
  ProtobufReader reader(bytes, where);
  for (Field field; reader.next(field);) {
    if (field.number == 1) piece = field.bytes;
    if (field.number == 2) score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    if (field.number == 3) kind = field.value;
  }
  if (kind < 1 || kind > 6)
    throw Error({"a piece has an unknown type", where, "1 to 6", std::to_string(kind), {}});
  if (!is_valid_utf8(piece))
    throw Error({fmt::format("piece {} is not UTF-8", model.scores.size()), where, {}, {}, {}});
  if (score != score)
    throw Error(
        {fmt::format("the score of piece {} is not a number", model.scores.size()), where, {}, {}, {}});
  model.pieces.emplace_back(std::move(piece), static_cast<int64_t>(model.scores.size()));
  model.scores.push_back(score);
  model.kinds.push_back(static_cast<TokenKind>(kind));
}

SentencePieceModel read_model(std::string_view bytes, const std::string& where) {
  SentencePieceModel model;
  ProtobufReader reader(bytes, where);
  for (Field field; reader.next(field);) {
    if (field.number == 1) read_piece(field.bytes, where, model);
    ProtobufReader inner(field.number == 2 || field.number == 3 ? field.bytes : std::string_view(), where);
    for (Field part; inner.next(part);) {
      if (field.number == 2 && part.number == 3) model.model_type = part.value;
      if (field.number == 3 && part.number == 2) model.charsmap = part.bytes;
      if (field.number == 3 && part.number == 3) model.add_dummy_prefix = part.value != 0;
      if (field.number == 3 && part.number == 4) model.remove_extra_whitespaces = part.value != 0;
    }
  }
  if (model.pieces.empty())
    throw Error({"not a SentencePiece model: it holds no pieces", where, {}, {}, "incomplete download?"});
  return model;
}

/// Llama's way (transformers, convert_slow_tokenizer.py, LlamaConverter): the marker goes before the text and
/// for every space; newer ("legacy": false) only at the very beginning.
void set_bpe_stages(const SentencePieceModel& source, const json& config, const std::string& where,
                    Pipeline& pipeline) {
  const bool prefix = bool_field(config, "add_prefix_space", source.add_dummy_prefix, where);
  std::vector<NormalizerStep> normalizer;
  if (!source.charsmap.empty()) normalizer.emplace_back(Charsmap(source.charsmap, where));
  if (bool_field(config, "legacy", true, where)) {
    if (prefix) normalizer.emplace_back(PrependStep{kMarker});
    normalizer.emplace_back(ReplaceStep{" ", kMarker});
  } else {
    std::vector<PreTokenizerStep> steps;
    using Prepend = MetaspaceStep::Prepend;
    steps.emplace_back(MetaspaceStep{kMarker, prefix ? Prepend::kFirst : Prepend::kNever, false});
    pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  }
  pipeline.normalizer = Normalizer(std::move(normalizer));
  std::vector<DecoderStep> decoder;
  decoder.emplace_back(ReplaceDecode{kMarker, " "});
  decoder.emplace_back(ByteFallbackDecode{});
  decoder.emplace_back(FuseDecode{});
  if (prefix) decoder.emplace_back(StripDecode{" ", 1, 0});
  pipeline.decoder = Decoder(std::move(decoder));
}

void set_unigram_stages(const SentencePieceModel& source, const std::string& where, Pipeline& pipeline) {
  std::vector<NormalizerStep> normalizer;
  if (!source.charsmap.empty()) normalizer.emplace_back(Charsmap(source.charsmap, where));
  if (source.remove_extra_whitespaces) {
    normalizer.emplace_back(StripStep{false, true});
    normalizer.emplace_back(ReplaceStep{Regex(" {2,}"), kMarker});
  }
  pipeline.normalizer = Normalizer(std::move(normalizer));
  using Prepend = MetaspaceStep::Prepend;
  std::vector<PreTokenizerStep> steps;
  steps.emplace_back(
      MetaspaceStep{kMarker, source.add_dummy_prefix ? Prepend::kAlways : Prepend::kNever, true});
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  std::vector<DecoderStep> decoder;
  decoder.emplace_back(MetaspaceDecode{kMarker, source.add_dummy_prefix});
  pipeline.decoder = Decoder(std::move(decoder));
}

/// Control and unknown pieces, those the user defined, and what the configuration adds or corrects.
std::vector<AddedToken> find_added_tokens(const SentencePieceModel& source, const json& config,
                                          const std::string& where) {
  std::vector<AddedToken> tokens = added_tokens_of_config(config, where);
  for (const auto& [piece, id] : source.pieces) {
    const TokenKind kind = source.kinds[static_cast<size_t>(id)];
    const bool special = kind == TokenKind::kControl || kind == TokenKind::kUnknown;
    if (!special && kind != TokenKind::kUserDefined) continue;
    const bool known =
        std::any_of(tokens.begin(), tokens.end(), [&](const AddedToken& token) { return token.id == id; });
    if (known || piece.empty()) continue;
    AddedToken token;
    token.id = static_cast<TokenId>(id);
    token.content = piece;
    token.special = special;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void set_special_tokens(const json& config, const std::string& where, Pipeline& pipeline) {
  const auto named = [&](const char* key, const char* fallback) {
    const std::string content = config_token(config, key);
    return pipeline.find(content.empty() ? fallback : content);
  };
  const bool t5 = optional_string_field(config, "tokenizer_class", where).starts_with("T5");
  const auto bos = named("bos_token", "<s>"), eos = named("eos_token", "</s>");
  if (bos && bool_field(config, "add_bos_token", !t5, where)) pipeline.post_processor.prefix = {*bos};
  if (eos && bool_field(config, "add_eos_token", t5, where)) pipeline.post_processor.suffix = {*eos};
  pipeline.post_processor.repeat_for_pair(t5 ? 0 : 1);
}

}  // namespace

void load_sentencepiece(std::string_view bytes, const json& config, const std::string& where,
                        Pipeline& pipeline) {
  SentencePieceModel model = read_model(bytes, where);
  if (model.model_type != 1 && model.model_type != 2)
    throw unsupported("SentencePiece model", std::to_string(model.model_type), where);
  std::vector<AddedToken> added = find_added_tokens(model, config, where);
  const std::string unk = model.first_of(TokenKind::kUnknown);
  pipeline.vocabulary = Vocabulary(model.pieces, where);
  const std::vector<double> scores(model.scores.begin(), model.scores.end());
  if (model.model_type == 2) {
    BpeOptions options;
    if (!unk.empty()) options.unk_token = unk;
    options.fuse_unk = options.byte_fallback = true;
    pipeline.subword.emplace<Bpe>(pipeline.vocabulary, std::move(options),
                                  generate_merges(pipeline.vocabulary, scores, MergeTies::kLongerLeft),
                                  Bpe::Duplicates::kLastWins, where);
    set_bpe_stages(model, config, where, pipeline);
  } else {
    Unigram::Options options;
    options.unk_id = pipeline.vocabulary.find(unk);
    options.byte_fallback = !model.first_of(TokenKind::kByte).empty();
    pipeline.subword.emplace<Unigram>(pipeline.vocabulary, scores, options, where);
    set_unigram_stages(model, where, pipeline);
  }
  pipeline.added = AddedTokens(std::move(added), pipeline.normalizer);
  set_special_tokens(config, where, pipeline);
  pipeline.gguf.scores = std::move(model.scores);
  pipeline.gguf.kinds = std::move(model.kinds);
}

}  // namespace assay::text
