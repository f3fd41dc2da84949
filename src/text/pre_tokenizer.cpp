#include "text/pre_tokenizer.hpp"

#include <algorithm>

#include "text/unicode.hpp"

namespace assay::text {

const char* const kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

struct Part {
  size_t begin, end;
  bool match;
};

std::vector<std::pair<size_t, size_t>> find_literal(std::string_view text, std::string_view literal) {
  std::vector<std::pair<size_t, size_t>> found;
  for (size_t at = 0; (at = text.find(literal, at)) != std::string_view::npos; at += literal.size())
    found.emplace_back(at, at + literal.size());
  return found;
}

std::vector<std::pair<size_t, size_t>> find_characters(std::string_view text, CharacterTest test) {
  std::vector<std::pair<size_t, size_t>> found;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (test(read_code_point(text, at))) found.emplace_back(begin, at);
  }
  return found;
}

/// Matches and what lies between them, in order, covering the text.
std::vector<Part> find_parts(std::string_view text, const SplitStep& step) {
  std::vector<std::pair<size_t, size_t>> found;
  if (const auto* regex = std::get_if<Regex>(&step.matcher))
    found = regex->find_all(text);
  else if (const auto* test = std::get_if<CharacterTest>(&step.matcher))
    found = find_characters(text, *test);
  else
    found = find_literal(text, std::get<std::string>(step.matcher));
  std::vector<Part> parts;
  parts.reserve(found.size() * 2 + 1);
  size_t from = 0;
  for (const auto& [begin, end] : found) {
    if (begin > from) parts.push_back({from, begin, step.invert});
    parts.push_back({begin, end, !step.invert});
    from = end;
  }
  if (from < text.size()) parts.push_back({from, text.size(), step.invert});
  return parts;
}

/// Joins neighbours of the same kind, or a match to the part before it.
std::vector<Part> join_parts(const std::vector<Part>& parts, bool contiguous) {
  std::vector<Part> joined;
  bool previous = false;
  for (const Part& part : parts) {
    const bool join = contiguous ? part.match == previous : part.match && !previous;
    if (join && !joined.empty())
      joined.back().end = part.end;
    else
      joined.push_back(part);
    previous = part.match;
  }
  return joined;
}

std::vector<Part> join_with_next(const std::vector<Part>& parts) {
  std::vector<Part> joined;
  bool previous = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->match && !previous && !joined.empty())
      joined.back().begin = part->begin;
    else
      joined.push_back(*part);
    previous = part->match;
  }
  std::reverse(joined.begin(), joined.end());
  return joined;
}

void split_word(const Word& word, const SplitStep& step, std::vector<Word>& out) {
  std::vector<Part> parts = find_parts(word.text, step);
  switch (step.behavior) {
    case SplitBehavior::kIsolated:
      break;
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.match; });
      break;
    case SplitBehavior::kMergedWithPrevious:
      parts = join_parts(parts, false);
      break;
    case SplitBehavior::kContiguous:
      parts = join_parts(parts, true);
      break;
    case SplitBehavior::kMergedWithNext:
      parts = join_with_next(parts);
      break;
  }
  for (const Part& part : parts) {
    if (part.begin >= part.end) continue;
    out.push_back({word.text.substr(part.begin, part.end - part.begin), word.at_start && part.begin == 0});
  }
}

void apply_byte_level(const Word& word, const ByteLevelStep& step, std::vector<Word>& out) {
  static const SplitStep gpt2{Regex(kGpt2Regex), SplitBehavior::kIsolated, false};
  const size_t first = out.size();
  Word prefixed{word.text, word.at_start};
  if (step.add_prefix_space && !word.text.starts_with(' ')) prefixed.text.insert(0, 1, ' ');
  if (step.use_regex)
    split_word(prefixed, gpt2, out);
  else
    out.push_back(std::move(prefixed));
  for (size_t i = first; i < out.size(); ++i) out[i].text = bytes_to_byte_level(out[i].text);
}

void apply_metaspace(const Word& word, const MetaspaceStep& step, std::vector<Word>& out) {
  Word marked{replace_all(word.text, " ", step.replacement), word.at_start};
  const bool prepends = step.prepend == MetaspaceStep::Prepend::kAlways ||
                        (step.prepend == MetaspaceStep::Prepend::kFirst && word.at_start);
  if (prepends && !marked.text.starts_with(step.replacement)) marked.text.insert(0, step.replacement);
  if (!step.split) {
    out.push_back(std::move(marked));
    return;
  }
  split_word(marked, {step.replacement, SplitBehavior::kMergedWithNext, false}, out);
}

void apply_llama_bert(const Word& word, const LlamaBertStep& step, std::vector<Word>& out) {
  const std::string text = step.strip_accents ? normalize_unicode(word.text, NormalForm::kNfd) : word.text;
  std::string current;
  const auto finish = [&] {
    if (!current.empty()) out.push_back({std::move(current), false});
    current.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const char32_t c = read_code_point(text, at);
    if (is_whitespace(c)) {
      finish();
      continue;
    }
    if (c == 0 || c == 0xFFFD || is_other(c) || (step.strip_accents && is_mark(c))) continue;
    const bool alone = is_punctuation(c) || (c < 0x7F && is_symbol(c)) || is_chinese(c);
    if (alone) finish();
    append_utf8(current, step.lowercase ? simple_lower(c) : c);
    if (alone) finish();
  }
  finish();
}

}  // namespace

std::vector<Word> PreTokenizer::split(std::string_view text, bool at_start) const {
  std::vector<Word> words;
  words.push_back({std::string(text), at_start});
  for (const PreTokenizerStep& step : steps_) {
    std::vector<Word> next;
    next.reserve(words.size());
    for (const Word& word : words) {
      if (const auto* split_step = std::get_if<SplitStep>(&step))
        split_word(word, *split_step, next);
      else if (const auto* byte_level = std::get_if<ByteLevelStep>(&step))
        apply_byte_level(word, *byte_level, next);
      else if (const auto* metaspace = std::get_if<MetaspaceStep>(&step))
        apply_metaspace(word, *metaspace, next);
      else
        apply_llama_bert(word, std::get<LlamaBertStep>(step), next);
    }
    words = std::move(next);
  }
  return words;
}

}  // namespace assay::text
