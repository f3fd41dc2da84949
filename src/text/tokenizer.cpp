#include "text/tokenizer.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "text/gguf_vocabulary.hpp"
#include "text/pipeline.hpp"
#include "text/tokenizer_files.hpp"
#include "text/unicode.hpp"

namespace assay {

Tokenizer::Tokenizer(std::unique_ptr<const Model> model) : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_directory(const std::filesystem::path& directory) {
  auto model = std::make_unique<Model>();
  text::load_directory(directory, *model);
  return Tokenizer(std::move(model));
}

Tokenizer Tokenizer::from_gguf(const GgufMetadata& metadata) {
  auto model = std::make_unique<Model>();
  text::read_gguf_vocabulary(metadata, *model);
  return Tokenizer(std::move(model));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  return model_->encode(text, options);
}

Encoding Tokenizer::encode_pair(std::string_view text, std::optional<std::string_view> pair,
                                const PairOptions& options) const {
  return model_->encode_pair(text, pair, options);
}

std::optional<int64_t> Tokenizer::truncation_length() const noexcept {
  return model_->truncation.max_length;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  return model_->decode(ids, skip_special);
}

int64_t Tokenizer::vocab_size() const noexcept {
  return model_->size();
}

std::string_view Tokenizer::token(TokenId id) const {
  const auto piece = model_->piece(id);
  if (!piece)
    throw Error(
        {fmt::format("there is no token {}", id), {}, fmt::format("0 to {}", vocab_size() - 1), {}, {}});
  return *piece;
}

std::optional<TokenId> Tokenizer::id_of(std::string_view piece) const noexcept {
  return model_->find(piece);
}
bool Tokenizer::is_special(TokenId id) const noexcept {
  return model_->is_special(id);
}
std::optional<TokenId> Tokenizer::bos_id() const noexcept {
  return model_->special.bos;
}
std::optional<TokenId> Tokenizer::eos_id() const noexcept {
  return model_->special.eos;
}
std::optional<TokenId> Tokenizer::pad_id() const noexcept {
  return model_->special.pad;
}
std::optional<TokenId> Tokenizer::unk_id() const noexcept {
  return model_->special.unk;
}
std::vector<TokenId> Tokenizer::end_ids() const {
  return model_->special.end;
}
bool Tokenizer::adds_bos() const noexcept {
  return !model_->post_processor.prefix.empty();
}

void Tokenizer::write_gguf(GgufMetadata& metadata, int64_t vocab_size) const {
  text::write_gguf_vocabulary(*model_, metadata, vocab_size);
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(TokenId id) {
  if (!tokenizer_.model_->is_decoded(id, skip_special_)) return {};
  ids_.push_back(id);
  return take(false);
}

std::string StreamDecoder::flush() {
  return take(true);
}

std::string StreamDecoder::take(bool at_end) {
  using Cut = text::Decoder::Cut;
  const text::Pipeline& pipeline = *tokenizer_.model_;
  size_t ready = ids_.size();
  if (!at_end && ready > 0) {
    const Cut cut = pipeline.decoder.cut();
    if (cut == Cut::kNowhere) ready = 0;
    if (cut == Cut::kOneBehind) --ready;
    if (cut == Cut::kOutsideBytes && text::byte_of_byte_token(*pipeline.piece(ids_.back()))) ready = 0;
  }
  if (ready > 0) {
    const auto pieces = pipeline.pieces_of(std::span(ids_).first(ready), skip_special_);
    const std::string decoded = pipeline.decoder.decode(pieces, at_start_, at_end);
    // A first piece that decodes to nothing (a stripped space) still decides how the next one is seen.
    if (decoded.empty() && at_start_ && !at_end) return {};
    ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(ready));
    at_start_ = false;
    pending_ += decoded;
  }
  const size_t complete = at_end ? pending_.size() : text::complete_utf8_prefix(pending_);
  std::string out = text::replace_invalid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return out;
}

}  // namespace assay
