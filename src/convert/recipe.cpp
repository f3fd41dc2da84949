#include "convert/recipe.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>

#include "base/error.hpp"

namespace assay {
namespace {

using Kind = WeightKind;
using Role = TensorRole;
using Rule = KindRule;

constexpr RoleKind kMoreBitsV{Role::kAttnV, Rule::kMoreBits, Kind::kQ6_K};
constexpr RoleKind kMoreBitsDown{Role::kFfnDown, Rule::kMoreBits, Kind::kQ6_K};
constexpr RoleKind kSharedV4{Role::kAttnV, Rule::kShared, Kind::kQ4_K};
constexpr RoleKind kSharedV5{Role::kAttnV, Rule::kShared, Kind::kQ5_K};
constexpr RoleKind kFirstDown5{Role::kFfnDown, Rule::kFirstEighthPlain, Kind::kQ5_K};

constexpr RoleKind always(Role role, Kind kind) {
  return {role, Rule::kAlways, kind};
}

constexpr GgufMix kMixes[] = {
    // name     type  base         output       other kinds by role
    {"F32", 0, Kind::kF32, Kind::kF32},
    {"F16", 1, Kind::kF16, Kind::kF16},
    {"BF16", 32, Kind::kBF16, Kind::kBF16},
    {"Q8_0", 7, Kind::kQ8_0, Kind::kQ8_0},
    {"Q4_0", 2, Kind::kQ4_0, Kind::kQ6_K, {{{{Role::kFfnDown, Rule::kFirstEighthWeighted, Kind::kQ4_1}}}}},
    {"Q4_1", 3, Kind::kQ4_1, Kind::kQ6_K},
    {"Q5_0", 8, Kind::kQ5_0, Kind::kQ6_K, {{{{Role::kFfnDown, Rule::kFirstEighthWeighted, Kind::kQ5_1}}}}},
    {"Q5_1", 9, Kind::kQ5_1, Kind::kQ6_K},
    {"Q2_K",
     10,
     Kind::kQ2_K,
     Kind::kQ6_K,
     {{kSharedV4, always(Role::kAttnV, Kind::kQ3_K), always(Role::kFfnDown, Kind::kQ3_K),
       always(Role::kAttnOutput, Kind::kQ3_K)}}},
    {"Q2_K_S",
     21,
     Kind::kQ2_K,
     Kind::kQ6_K,
     {{kSharedV4, {{Role::kFfnDown, Rule::kFirstEighth, Kind::kQ4_K}}}}},
    {"Q3_K_S", 11, Kind::kQ3_K, Kind::kQ6_K},
    {"Q3_K_M",
     12,
     Kind::kQ3_K,
     Kind::kQ6_K,
     {{{{Role::kAttnV, Rule::kFirstTwo, Kind::kQ5_K}},
       always(Role::kAttnV, Kind::kQ4_K),
       {{Role::kFfnDown, Rule::kFirstSixteenth, Kind::kQ5_K}},
       always(Role::kFfnDown, Kind::kQ4_K),
       always(Role::kAttnOutput, Kind::kQ4_K)}}},
    {"Q3_K_L",
     13,
     Kind::kQ3_K,
     Kind::kQ6_K,
     {{always(Role::kAttnV, Kind::kQ5_K), always(Role::kFfnDown, Kind::kQ5_K),
       always(Role::kAttnOutput, Kind::kQ5_K)}}},
    {"Q4_K_S",
     14,
     Kind::kQ4_K,
     Kind::kQ6_K,
     {{{{Role::kAttnV, Rule::kFirstFour, Kind::kQ5_K}},
       {{Role::kFfnDown, Rule::kFirstEighth, Kind::kQ5_K}}}}},
    {"Q4_K_M", 15, Kind::kQ4_K, Kind::kQ6_K, {{kMoreBitsV, kMoreBitsDown}}},
    {"Q5_K_S", 16, Kind::kQ5_K, Kind::kQ6_K},
    {"Q5_K_M", 17, Kind::kQ5_K, Kind::kQ6_K, {{kMoreBitsV, kMoreBitsDown}}},
    {"Q6_K", 18, Kind::kQ6_K, Kind::kQ6_K},
    {"IQ4_NL", 25, Kind::kIQ4_NL, Kind::kQ6_K, {{kSharedV5, kFirstDown5}}},
    {"IQ4_XS", 30, Kind::kIQ4_XS, Kind::kQ6_K, {{kSharedV5, kFirstDown5}}},
    {"TQ1_0", 36, Kind::kTQ1_0, Kind::kQ6_K, {{always(Role::kTokenEmbedding, Kind::kQ4_K)}}},
    {"TQ2_0", 37, Kind::kTQ2_0, Kind::kQ6_K, {{always(Role::kTokenEmbedding, Kind::kQ4_K)}}},
};

struct MlxRow {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};
constexpr MlxRow kMlxRows[] = {
    {"4bit", 4, {}},         {"8bit", 8, {}}, {"2bit", 2, {}},           {"3bit", 3, {}},
    {"5bit", 5, {}},         {"6bit", 6, {}}, {"bf16", 0, DType::kBF16}, {"f16", 0, DType::kF16},
    {"f32", 0, DType::kF32}, {"none", 0, {}},
};
constexpr int kMlxGroups[] = {32, 64, 128};

/// What people type for MLX outputs already.
constexpr std::string_view kAliases[][2] = {{"q4", "mlx:4bit"},
                                            {"q8", "mlx:8bit"},
                                            {"q4_bit", "mlx:4bit"},
                                            {"q8_bit", "mlx:8bit"},
                                            {"none", "mlx:none"}};

/// Names that exist elsewhere; the answer to them is "not yet", not "what?".
constexpr std::string_view kUnwritten[] = {"gguf:IQ1_S",     "gguf:IQ1_M", "gguf:IQ2_XXS", "gguf:IQ2_XS",
                                           "gguf:IQ2_S",     "gguf:IQ2_M", "gguf:IQ3_XXS", "gguf:IQ3_XS",
                                           "gguf:IQ3_S",     "gguf:IQ3_M", "gguf:MXFP4",   "gguf:NVFP4",
                                           "gguf:MXFP4_MOE", "mlx:mxfp4",  "mlx:mxfp8",    "mlx:nvfp4"};

struct FileTypeName {
  uint32_t id;
  std::string_view name;
};
// llama.h, llama_ftype.
constexpr FileTypeName kFileTypes[] = {{19, "IQ2_XXS"}, {20, "IQ2_XS"}, {22, "IQ3_XS"},    {23, "IQ3_XXS"},
                                       {24, "IQ1_S"},   {26, "IQ3_S"},  {27, "IQ3_M"},     {28, "IQ2_S"},
                                       {29, "IQ2_M"},   {31, "IQ1_M"},  {38, "MXFP4_MOE"}, {39, "NVFP4"}};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

/// The distance is taken without the prefix too, so that "Q4KM" finds "gguf:Q4_K_M".
std::string nearest_name(const std::string& text) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const std::string& name : recipe_names()) {
    const std::string candidate = lower(name);
    const size_t colon = candidate.find(':');
    const size_t distance =
        std::min(edit_distance(text, candidate),
                 colon == std::string::npos ? SIZE_MAX : edit_distance(text, candidate.substr(colon + 1)));
    if (distance < best_distance) best = name, best_distance = distance;
  }
  return best;
}

std::optional<Recipe> parse_mlx(std::string_view body) {
  const size_t dash = body.find("-g");
  const std::string_view base = body.substr(0, dash);
  for (const MlxRow& row : kMlxRows) {
    if (row.name != base) continue;
    Recipe recipe;
    recipe.bits = row.bits;
    recipe.dtype = row.dtype;
    std::string suffix;
    if (dash != std::string_view::npos) {
      const auto group = std::find_if(std::begin(kMlxGroups), std::end(kMlxGroups), [&](int size) {
        return std::to_string(size) == body.substr(dash + 2);
      });
      if (group == std::end(kMlxGroups) || row.bits == 0) return std::nullopt;
      recipe.group_size = *group;
      if (*group != 64) suffix = "-g" + std::to_string(*group);
    }
    recipe.name = "mlx:" + std::string(base) + suffix;
    recipe.output_name = "mlx-" + std::string(base) + suffix;
    return recipe;
  }
  return std::nullopt;
}

std::optional<Recipe> parse_known(const std::string& text) {
  if (text.starts_with("mlx:")) return parse_mlx(std::string_view(text).substr(4));
  if (!text.starts_with("gguf:")) return parse_encoder_recipe(text);
  for (const GgufMix& mix : kMixes) {
    if (lower(mix.name) != text.substr(5)) continue;
    Recipe recipe;
    recipe.mix = &mix;
    recipe.name = "gguf:" + std::string(mix.name);
    recipe.output_name = mix.name;
    return recipe;
  }
  return std::nullopt;
}

}  // namespace

Recipe parse_recipe(std::string_view given) {
  // "mlx:4bit, gguf:Q8_0" is how people write lists.
  while (given.starts_with(' ')) given.remove_prefix(1);
  while (given.ends_with(' ')) given.remove_suffix(1);
  std::string text = lower(given);
  for (const auto& [alias, name] : kAliases)
    if (text == alias) text = name;
  if (std::optional<Recipe> recipe = parse_known(text)) return *std::move(recipe);
  const std::string quoted = "\"" + std::string(given) + "\"";
  for (const std::string_view name : kUnwritten)
    if (lower(name) == text)
      throw UsageError(
          Fault{"recipe is known but not written yet", {}, "one of: " + join(recipe_names()), quoted, {}});
  throw UsageError(Fault{"no such recipe",
                         {},
                         "one of: " + join(recipe_names()),
                         quoted,
                         "did you mean " + nearest_name(text) + "?"});
}

std::vector<Recipe> parse_recipes(std::string_view list) {
  std::vector<Recipe> recipes;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    Recipe recipe = parse_recipe(list.substr(begin, end - begin));
    for (const Recipe& other : recipes)
      if (other.name == recipe.name)
        throw UsageError(Fault{"recipe is given twice", {}, {}, recipe.name, {}});
    recipes.push_back(std::move(recipe));
    begin = end + 1;
  }
  return recipes;
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const MlxRow& row : kMlxRows) names.push_back("mlx:" + std::string(row.name));
  for (const MlxRow& row : kMlxRows)
    if (row.bits != 0)
      for (const int group : {32, 128})
        names.push_back("mlx:" + std::string(row.name) + "-g" + std::to_string(group));
  for (const GgufMix& mix : kMixes) names.push_back("gguf:" + std::string(mix.name));
  for (const std::string_view name : encoder_recipe_names()) names.emplace_back(name);
  for (const auto& alias : kAliases) names.emplace_back(alias[0]);
  return names;
}

const GgufMix* find_gguf_mix(uint32_t file_type) noexcept {
  for (const GgufMix& mix : kMixes)
    if (mix.file_type == file_type) return &mix;
  return nullptr;
}

std::string_view gguf_file_type_name(uint32_t file_type) noexcept {
  if (const GgufMix* mix = find_gguf_mix(file_type)) return mix->name;
  for (const FileTypeName& row : kFileTypes)
    if (row.id == file_type) return row.name;
  return {};
}

}  // namespace assay
