#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay::text {

/// A pre-tokenizer's regular expression. Patterns are written for Oniguruma (Ruby syntax, which Hugging
/// Face's tokenizers use) and are rewritten for PCRE2 where the two differ: \s and \w are the Unicode
/// properties White_Space and word characters, \h is a hexadecimal digit, $ and ^ work on lines. Source:
/// Oniguruma doc/RE; pcre2pattern(3).
class Regex {
 public:
  /// Throws Error when the pattern is malformed or uses what the rewriting does not cover (nested classes).
  explicit Regex(std::string_view pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// Every match from left to right as [begin, end) byte offsets; an empty match directly behind the last one
  /// is left out. `text` must be valid UTF-8. Throws Error when the match needs more than the bounded steps.
  std::vector<std::pair<size_t, size_t>> find_all(std::string_view text) const;
  /// The pattern as it was given.
  const std::string& pattern() const noexcept { return pattern_; }

 private:
  struct Code;
  std::string pattern_;
  std::unique_ptr<const Code> code_;
};

/// A pattern that matches exactly `literal`.
std::string escape_regex(std::string_view literal);

}  // namespace assay::text
