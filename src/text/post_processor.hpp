#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/tokenizer.hpp"

namespace assay::text {

/// A place in a template: a text, or special tokens; all of it in one segment.
struct TemplatePart {
  enum class Kind : uint8_t { kFirst, kSecond, kSpecial };
  Kind kind = Kind::kSpecial;
  std::vector<TokenId> ids{};  ///< of kSpecial
  int32_t type = 0;
};

/// The special tokens put around one text or two. Source: huggingface/tokenizers, processors/.
struct PostProcessor {
  std::vector<TokenId> prefix{}, suffix{};  ///< around one text
  /// Segment numbers of prefix and suffix, 0 where there are fewer than ids, and of the text between them.
  std::vector<int32_t> prefix_types{}, suffix_types{};
  int32_t text_type = 0;
  std::vector<TemplatePart> pair{};  ///< empty: there is no way to put two texts together
  std::string pair_problem{};        ///< why `pair` is empty

  /// From tokenizer.json's "post_processor" (null: none); what concerns offsets is left out. Throws Error
  /// naming `where` for an unknown type, or a template that does not hold its texts.
  static PostProcessor from_json(const nlohmann::json& json, const std::string& where);

  /// cls A sep, and for pairs cls A sep B sep with segments 0 and 1 (BertProcessing).
  static PostProcessor bert(TokenId cls, TokenId sep);
  /// cls A sep, and for pairs cls A sep sep B sep; the last two are of segment `second_type`
  /// (RobertaProcessing: 0; transformers' template for MPNet: 1).
  static PostProcessor roberta(TokenId cls, TokenId sep, int32_t second_type = 0);
  /// Fills `pair` with the same tokens around the second text as around the first, in segment `second_type`
  /// (transformers' templates for Llama: 1, and T5: 0). Nothing happens when there are no such tokens.
  void repeat_for_pair(int32_t second_type);

  /// Adds prefix and suffix. A text that already begins with the whole prefix gets no second one.
  void apply(std::vector<TokenId>& ids) const;

  /// How many special tokens join_text() or join_pair() add.
  size_t count_added(bool is_pair) const noexcept;
  /// The template filled with ids of one text, exactly as Hugging Face's tokenizers do: a prefix that the
  /// text brings itself does not count.
  Encoding join_text(const std::vector<TokenId>& ids) const;
  /// Likewise for two texts. `pair` must not be empty.
  Encoding join_pair(const std::vector<TokenId>& first, const std::vector<TokenId>& second) const;
};

}  // namespace assay::text
