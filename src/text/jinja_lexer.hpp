#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace assay::jinja {

enum class TokenKind {
  kData,           ///< text between tags, whitespace control already applied
  kVariableBegin,  ///< {{
  kVariableEnd,
  kBlockBegin,  ///< {%
  kBlockEnd,
  kName,
  kString,   ///< unescaped
  kInteger,  ///< 64-bit
  kFloat,
  kOperator,  ///< text holds the symbol
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;
  int64_t integer = 0;
  double number = 0;

  bool is(TokenKind wanted, std::string_view symbol) const { return kind == wanted && text == symbol; }
  bool is_operator(std::string_view symbol) const { return is(TokenKind::kOperator, symbol); }
  bool is_name(std::string_view name) const { return is(TokenKind::kName, name); }
};

/// Cuts a template into tokens as Jinja2 does with trim_blocks and lstrip_blocks: comments and raw blocks are
/// resolved, `-` and `+` obeyed, the final newline dropped, a kEnd token appended. Throws Failure with the
/// line. Source of the rules: Jinja2 3.1, jinja2/lexer.py.
std::vector<Token> read_tokens(std::string_view source);

}  // namespace assay::jinja
