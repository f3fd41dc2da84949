#include "text/jinja_lexer.hpp"

#include <algorithm>
#include <charconv>

#include "text/jinja_budget.hpp"
#include "text/jinja_literals.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

/// "\r\n" and "\r" become "\n", and one newline at the very end goes.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_blank(std::string_view text) {
  return strip(text, std::nullopt, Side::kBoth).empty();
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> read() {
    while (at_ < source_.size()) read_root();
    push(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail_here(const std::string& message) const { throw Failure(message, line_); }

  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool sees(std::string_view text) const { return rest().starts_with(text); }

  void push(TokenKind kind, std::string text = {}) {
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }

  /// Moves past `bytes`, counting lines.
  void advance(size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
    if (bytes > 0) line_starting_ = source_[at_ - 1] == '\n';
  }

  /// Bytes of whitespace from `from` on.
  size_t space_after(size_t from) const {
    size_t at = from;
    while (at < source_.size()) {
      const std::u32string next = decode_utf8(std::string_view(source_).substr(at, 4));
      if (!is_space(next[0])) break;
      at += encode_utf8(next.substr(0, 1)).size();
    }
    return at - from;
  }

  char sign_at(size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }

  /// The next "{{", "{%" or "{#" from `from` on, or the end.
  size_t next_tag(size_t from) const {
    for (size_t i = from; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    }
    return source_.size();
  }

  /// Emits the text up to a tag at `end` whose whitespace sign is `sign`.
  void push_data(size_t end, char sign, bool is_variable) {
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    if (sign == '-') {
      text = strip(text, std::nullopt, Side::kRight);
    } else if (sign != '+' && !is_variable) {
      const size_t newline = text.rfind('\n');
      const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
      if ((begin > 0 || line_starting_) && is_blank(text.substr(begin))) text = text.substr(0, begin);
    }
    if (!text.empty()) push(TokenKind::kData, std::string(text));
    advance(end - at_);
  }

  /// Length of a raw tag `{% raw %}` at `at`, or 0.
  size_t raw_tag_length(size_t at, std::string_view name) const {
    size_t end = at + 2;
    if (sign_at(end) != '\0') ++end;
    end += space_after(end);
    if (!std::string_view(source_).substr(end).starts_with(name)) return 0;
    end += name.size();
    end += space_after(end);
    const std::string_view tail = std::string_view(source_).substr(end);
    if (tail.starts_with("-%}")) return end + 3 + space_after(end + 3) - at;
    const bool closes = name == "endraw";
    if (closes && tail.starts_with("+%}")) return end + 3 - at;
    if (!tail.starts_with("%}")) return 0;
    end += 2;
    if (closes && end < source_.size() && source_[end] == '\n') ++end;
    return end - at;
  }

  void read_root() {
    const size_t tag = next_tag(at_);
    if (tag == source_.size()) {
      push(TokenKind::kData, source_.substr(at_));
      advance(source_.size() - at_);
      return;
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    push_data(tag, sign, kind == '{');
    if (const size_t raw = kind == '%' ? raw_tag_length(tag, "raw") : 0) {
      advance(raw);
      read_raw();
      return;
    }
    const auto kind_of_tag = kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin;
    if (kind != '#') push(kind_of_tag);
    advance(sign == '\0' ? 2 : 3);
    if (kind == '#') {
      skip_comment();
    } else {
      read_tag(kind == '{' ? "}}" : "%}", kind == '{' ? TokenKind::kVariableEnd : TokenKind::kBlockEnd);
    }
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail_here("Missing end of comment tag");
    const char sign = end > at_ ? sign_at(end - 1) : '\0';
    size_t after = end + 2;
    if (sign == '-') {
      after += space_after(after);
    } else if (sign != '+' && after < source_.size() && source_[after] == '\n') {
      ++after;
    }
    advance(after - at_);
  }

  void read_raw() {
    for (size_t i = at_; (i = source_.find("{%", i)) != std::string::npos; i += 2) {
      const size_t length = raw_tag_length(i, "endraw");
      if (length == 0) continue;
      push_data(i, sign_at(i + 2), false);
      advance(length);
      return;
    }
    fail_here("Missing end of raw directive");
  }

  /// Takes the end of a tag when it stands here outside all brackets.
  bool take_tag_end(std::string_view closing, TokenKind kind) {
    if (!brackets_.empty()) return false;
    const bool is_block = kind == TokenKind::kBlockEnd;
    const char sign = sign_at(at_);
    const bool signed_end =
        (sign == '-' || (sign == '+' && is_block)) && rest().substr(1).starts_with(closing);
    if (!signed_end && !sees(closing)) return false;
    push(kind);
    size_t length = signed_end ? 3 : 2;
    if (signed_end && sign == '-') {
      length += space_after(at_ + 3);
    } else if (!signed_end && is_block && at_ + 2 < source_.size() && source_[at_ + 2] == '\n') {
      ++length;
    }
    advance(length);
    return true;
  }

  void read_tag(std::string_view closing, TokenKind kind) {
    brackets_.clear();
    while (at_ < source_.size()) {
      if (take_tag_end(closing, kind)) return;
      if (const size_t space = space_after(at_)) {
        advance(space);
      } else {
        read_token();
      }
    }
  }

  void read_token() {
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (const size_t length = after_dot ? 0 : float_length(rest())) return read_float(length);
    if (const size_t length = integer_length(rest())) return read_integer(length);
    if (const size_t length = name_length(rest())) {
      push(TokenKind::kName, std::string(rest().substr(0, length)));
      return advance(length);
    }
    if (const size_t length = string_length(rest())) {
      push(TokenKind::kString, unescape(rest().substr(1, length - 2)));
      return advance(length);
    }
    read_operator();
  }

  void read_float(size_t length) {
    const std::string digits = without_separators(rest().substr(0, length));
    push(TokenKind::kFloat);
    tokens_.back().number = std::strtod(digits.c_str(), nullptr);
    advance(length);
  }

  void read_integer(size_t length) {
    const auto value = parse_integer_literal(rest().substr(0, length));
    if (!value)
      fail_here("the integer " + std::string(rest().substr(0, length)) + " does not fit in 64 bits");
    push(TokenKind::kInteger);
    tokens_.back().integer = *value;
    advance(length);
  }

  std::string unescape(std::string_view quoted) const {
    try {
      return unescape_string(quoted);
    } catch (const Failure& failure) {
      fail_here(failure.message);
    }
  }

  void read_operator() {
    static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                      "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                      ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                     [&](std::string_view each) { return sees(each); });
    if (found == std::end(kOperators)) {
      fail_here("unexpected char " + quote(encode_utf8(decode_utf8(rest().substr(0, 4)).substr(0, 1))));
    }
    balance(*found);
    push(TokenKind::kOperator, std::string(*found));
    advance(found->size());
  }

  void balance(std::string_view symbol) {
    if (symbol == "{" || symbol == "(" || symbol == "[") {
      brackets_ += symbol == "{" ? '}' : symbol == "(" ? ')' : ']';
    } else if (symbol == "}" || symbol == ")" || symbol == "]") {
      if (brackets_.empty()) fail_here("unexpected '" + std::string(symbol) + "'");
      if (brackets_.back() != symbol[0]) {
        fail_here("unexpected '" + std::string(symbol) + "', expected '" + brackets_.back() + "'");
      }
      brackets_.pop_back();
    }
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;  ///< closing brackets still expected
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> read_tokens(std::string_view source) {
  return Lexer(source).read();
}

}  // namespace assay::jinja
