#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "convert/recipe.hpp"

namespace assay {
namespace {

using Kind = WeightKind;

constexpr int kDefaultGroup = 64;

/// One row a recipe: its name and what it makes of the linears. Embeddings and head are int8 unless the name
/// goes on to say otherwise.
struct EncoderRow {
  std::string_view name;
  Kind linears;
  int group_size;
  bool npz = false;
};
constexpr EncoderRow kRows[] = {
    {"int8", Kind::kInt8, kDefaultGroup},
    {"int4", Kind::kInt4, 64},
    {"int4-g32", Kind::kInt4, 32},
    {"npz:int8", Kind::kInt8, kDefaultGroup, true},  // embeddings F32, as the older converter had them
};
/// Of a folder with weights.npz, after the model's name: what older scripts look for.
constexpr std::string_view kNpzOutputName = "mlx-q8-v2";

/// Parts of a name that are followed by a word: "-emb-fp32", "-head-int4".
constexpr std::string_view kEmbeddingsPart = "-emb-", kHeadPart = "-head-";

WeightFormat format_of(Kind kind, int group_size) {
  if (kind == Kind::kInt8) return int8_format();
  return kind == Kind::kInt4 ? int4_format(group_size) : ggml_format(kind);
}

struct Word {
  std::string_view text;
  Kind kind;
};
constexpr Word kWords[] = {
    {"int8", Kind::kInt8}, {"int4", Kind::kInt4}, {"fp32", Kind::kF32}, {"fp16", Kind::kF16}};

std::string_view word_of(const WeightFormat& format) {
  const auto word = std::find_if(std::begin(kWords), std::end(kWords),
                                 [&](const Word& w) { return w.kind == format.kind; });
  return word == std::end(kWords) ? std::string_view() : word->text;
}

/// weights.npz keeps them as floats unless told otherwise.
WeightFormat default_embeddings(bool npz) {
  return npz ? ggml_format(Kind::kF32) : int8_format();
}

int group_of(const EncoderFormats& formats) {
  return formats.linears.kind == Kind::kInt4 ? formats.linears.group_size : kDefaultGroup;
}

std::optional<WeightFormat> parse_word(std::string_view text, bool is_head, int group_size) {
  for (const Word& word : kWords)
    if (word.text == text && !(is_head && word.kind == Kind::kF16)) return format_of(word.kind, group_size);
  return std::nullopt;
}

/// Cuts "-emb-WORD" or "-head-WORD" off the end of `text`; nothing when it does not end so, and a WORD that
/// is none leaves `ok` false.
std::optional<WeightFormat> take_part(std::string_view& text, std::string_view part, int group_size,
                                      bool& ok) {
  const size_t at = text.find(part);
  if (at == std::string_view::npos) return std::nullopt;
  const auto format = parse_word(text.substr(at + part.size()), part == kHeadPart, group_size);
  ok = ok && format.has_value();
  text = text.substr(0, at);
  return format;
}

}  // namespace

std::span<const std::string_view> encoder_recipe_names() noexcept {
  static constexpr std::string_view kNames[] = {kRows[0].name, kRows[1].name, kRows[2].name, kRows[3].name};
  static_assert(std::size(kNames) == std::size(kRows));
  return kNames;
}

Recipe encoder_recipe(const EncoderFormats& formats) {
  Recipe recipe;
  recipe.encoder = formats;
  recipe.dtype = DType::kF32;
  recipe.group_size = group_of(formats);
  for (const EncoderRow& row : kRows)
    if (row.linears == formats.linears.kind && row.group_size == recipe.group_size && row.npz == formats.npz)
      recipe.name = row.name;
  ASSAY_CHECK(!recipe.name.empty());
  if (formats.embeddings.kind != default_embeddings(formats.npz).kind)
    recipe.name.append(kEmbeddingsPart).append(word_of(formats.embeddings));
  if (formats.head.kind != Kind::kInt8) recipe.name.append(kHeadPart).append(word_of(formats.head));
  recipe.output_name = formats.npz ? kNpzOutputName : std::string_view(recipe.name);
  return recipe;
}

std::optional<Recipe> parse_encoder_recipe(std::string_view text) {
  const int group_size = text.starts_with("int4-g32") ? 32 : kDefaultGroup;
  bool ok = true;
  const auto head = take_part(text, kHeadPart, group_size, ok);
  const auto embeddings = take_part(text, kEmbeddingsPart, group_size, ok);
  if (text == "int4-g64") text = "int4";
  const auto row =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const EncoderRow& r) { return r.name == text; });
  const auto is_int4 = [](const auto& format) { return format && format->kind == Kind::kInt4; };
  if (!ok || row == std::end(kRows) || (row->npz && (is_int4(head) || is_int4(embeddings))))
    return std::nullopt;
  return encoder_recipe({.linears = format_of(row->linears, row->group_size),
                         .embeddings = embeddings.value_or(default_embeddings(row->npz)),
                         .head = head.value_or(int8_format()),
                         .npz = row->npz});
}

Recipe with_encoder_options(const Recipe& recipe, std::string_view embeddings, std::string_view head) {
  const auto choose = [&](std::string_view word, bool is_head, WeightFormat& format) {
    if (word.empty()) return;
    const auto chosen = parse_word(word, is_head, recipe.group_size);
    if (!chosen || (recipe.encoder && recipe.encoder->npz && chosen->kind == Kind::kInt4))
      throw UsageError(Fault{is_head ? "no such format of a head" : "no such format of embeddings",
                             {},
                             is_head ? "fp32, int8 or int4" : "fp32, fp16, int8 or int4",
                             "\"" + std::string(word) + "\"",
                             {}});
    format = *chosen;
  };
  EncoderFormats formats =
      recipe.encoder.value_or(EncoderFormats{int8_format(), int8_format(), int8_format()});
  choose(embeddings, false, formats.embeddings);
  choose(head, true, formats.head);
  return recipe.encoder ? encoder_recipe(formats) : recipe;
}

}  // namespace assay
