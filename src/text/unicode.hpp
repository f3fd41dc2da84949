#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// UTF-8 and the Unicode facts that tokenizers rest on. Properties come from utf8proc.
namespace assay::text {

/// Reads the code point at `offset` of valid UTF-8 and moves `offset` behind it.
char32_t read_code_point(std::string_view text, size_t& offset) noexcept;
void append_utf8(std::string& out, char32_t code_point);

/// Bytes of the UTF-8 sequence that `lead` announces; 1 for a byte that cannot lead.
size_t utf8_length(char lead) noexcept;

/// `text` with each maximal invalid part replaced by U+FFFD, as Python's errors="replace" and Rust's
/// from_utf8_lossy do.
std::string replace_invalid_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text) noexcept;
/// Length of `text` without a last sequence that more bytes could still complete.
size_t complete_utf8_prefix(std::string_view text) noexcept;

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
/// `text` must be valid UTF-8.
std::string normalize_unicode(std::string_view text, NormalForm form);

bool is_whitespace(char32_t c) noexcept;       ///< White_Space
bool is_numeric(char32_t c) noexcept;          ///< Nd, Nl, No
bool is_punctuation(char32_t c) noexcept;      ///< P*
bool is_symbol(char32_t c) noexcept;           ///< S*
bool is_mark(char32_t c) noexcept;             ///< M*
bool is_nonspacing_mark(char32_t c) noexcept;  ///< Mn
bool is_other(char32_t c) noexcept;            ///< Cc, Cf, Cs, Co; not what is unassigned
bool is_ascii_punctuation(char32_t c) noexcept;
/// The blocks that BERT separates character by character (Google's BERT, tokenization.py, with the start of
/// extension E as Hugging Face has it: 0x2B920).
bool is_chinese(char32_t c) noexcept;
/// Appends the full lower-case mapping, which is one code point but for U+0130.
void append_lower(std::string& out, char32_t c);
/// The simple (one to one) lower-case mapping.
char32_t simple_lower(char32_t c) noexcept;
/// Offset of the extended grapheme cluster boundary after `offset`.
size_t next_grapheme(std::string_view text, size_t offset) noexcept;

/// The byte-level alphabet of GPT-2 (encoder.py, bytes_to_unicode): every byte has a printable character.
std::string bytes_to_byte_level(std::string_view bytes);
/// The byte a character of that alphabet stands for; nothing for other characters.
std::optional<unsigned char> byte_of_byte_level(char32_t c) noexcept;

/// Replaces every occurrence of `from` (not empty).
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

/// The value of a byte token "<0x0A>"; nothing for other pieces.
std::optional<unsigned char> byte_of_byte_token(std::string_view piece) noexcept;
/// "<0x0A>" for 10.
std::string byte_token(unsigned char byte);

}  // namespace assay::text
