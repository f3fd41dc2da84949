#include "text/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

/// Backtracking steps per match attempt. The known patterns need a few per character; a hostile one must not
/// run forever. PCRE2's own default is ten million.
constexpr uint32_t kMatchLimit = 20'000'000;
constexpr size_t kJitStackBytes = size_t{8} << 20;

/// Rewrites Oniguruma's escapes to what PCRE2 matches alike.
class Rewriter {
 public:
  explicit Rewriter(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\')
        rewrite_escape();
      else if (depth_ == 0 && c == '[')
        open_class();
      else
        copy_plain(c);
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    throw Error({fmt::format("the regular expression uses {}, which is not supported", what),
                 std::string(in_),
                 {},
                 {},
                 {}});
  }

  void open_class() {
    depth_ = 1;
    out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == '^') out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == ']') {  // literal in first place
      out_ += in_[at_++];
    }
  }

  void copy_plain(char c) {
    if (depth_ == 1) {
      if (c == '[') refuse("a nested character class");
      if (c == '&' && in_.substr(at_, 2) == "&&") refuse("an intersection of character classes");
      if (c == ']') depth_ = 0;
    }
    out_ += c;
    ++at_;
  }

  void rewrite_escape() {
    if (at_ + 1 == in_.size()) refuse("a backslash at the end");
    const char c = in_[at_ + 1];
    at_ += 2;
    const bool in_class = depth_ == 1;
    switch (c) {
      case 's':
        out_ += "\\p{White_Space}";
        return;
      case 'S':
        out_ += "\\P{White_Space}";
        return;
      case 'w':
        out_ += in_class ? "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" : "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
        return;
      case 'W':
        if (in_class) refuse("\\W inside a class");
        out_ += "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
        return;
      case 'h':
        out_ += in_class ? "0-9A-Fa-f" : "[0-9A-Fa-f]";
        return;
      case 'u':
        rewrite_code_point();
        return;
      default:
        out_ += '\\';
        out_ += c;
    }
  }

  /// \uHHHH
  void rewrite_code_point() {
    const std::string_view digits = in_.substr(at_, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
      refuse("\\u without four hexadecimal digits");
    out_ += fmt::format("\\x{{{}}}", digits);
    at_ += 4;
  }

  std::string_view in_;
  std::string out_;
  size_t at_ = 0;
  int depth_ = 0;
};

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

/// What a thread needs to match; contexts are not safe to share.
struct MatchSetup {
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr);
  MatchSetup() {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchSetup() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
  }
  MatchSetup(const MatchSetup&) = delete;
  MatchSetup& operator=(const MatchSetup&) = delete;
};

struct MatchDataFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern) : pattern_(pattern) {
  if (!is_valid_utf8(pattern)) throw Error("a regular expression is not valid UTF-8");
  const std::string rewritten = Rewriter(pattern).run();
  auto code = std::make_unique<Code>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                             &offset, nullptr);
  if (code->code == nullptr)
    throw Error({"malformed regular expression", pattern_, {}, error_text(error), {}});
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter runs: slower, the same
  code_ = std::move(code);
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

std::vector<std::pair<size_t, size_t>> Regex::find_all(std::string_view text) const {
  static thread_local const MatchSetup setup;
  const std::unique_ptr<pcre2_match_data, MatchDataFree> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr));
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::vector<std::pair<size_t, size_t>> matches;
  size_t from = 0;
  size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    const int result =
        pcre2_match(code_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, data.get(), setup.context);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0)
      throw Error({"the pre-tokenizer's regular expression gave up on this text",
                   pattern_,
                   {},
                   error_text(result),
                   {}});
    const size_t begin = ends[0], end = ends[1];
    const bool empty = begin >= end;
    if (!(empty && begin == last_end)) matches.emplace_back(begin, end < begin ? begin : end);
    last_end = end;
    from = end;
    if (empty) from += end < text.size() ? utf8_length(text[end]) : 1;
  }
  return matches;
}

std::string escape_regex(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace assay::text
