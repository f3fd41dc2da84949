#include <array>

#include "base/error.hpp"
#include "models/sentence_modules.hpp"

namespace assay {
namespace {

struct Mode {
  std::string_view name, alias;
  bool PoolingModes::*flag;
};

// Names and order: sentence_transformers Pooling.POOLING_MODES.
constexpr auto kModes = std::to_array<Mode>({
    {"cls", "cls_token", &PoolingModes::cls},
    {"max", "max_tokens", &PoolingModes::max},
    {"mean", "mean_tokens", &PoolingModes::mean},
    {"mean_sqrt_len_tokens", "mean_sqrt_len", &PoolingModes::mean_sqrt_len},
    {"weightedmean", "weightedmean_tokens", &PoolingModes::weighted_mean},
    {"lasttoken", "last_token", &PoolingModes::last_token},
});

[[noreturn]] void fail_mode(std::string_view word) {
  std::string known;
  for (const Mode& mode : kModes) known += (known.empty() ? "" : ", ") + std::string(mode.name);
  throw UsageError(Fault{"no such pooling", {}, known, "\"" + std::string(word) + "\"", {}});
}

}  // namespace

std::string pooling_name(const PoolingModes& modes) {
  std::string name;
  for (const Mode& mode : kModes)
    if (modes.*mode.flag) name += (name.empty() ? "" : "+") + std::string(mode.name);
  return name;
}

PoolingModes parse_pooling(std::string_view text) {
  PoolingModes modes;
  while (true) {
    const size_t end = text.find_first_of("+,");
    const std::string_view word = text.substr(0, end);
    const Mode* found = nullptr;
    for (const Mode& mode : kModes)
      if (word == mode.name || word == mode.alias) found = &mode;
    if (found == nullptr) fail_mode(word);
    modes.*found->flag = true;
    if (end == std::string_view::npos) return modes;
    text.remove_prefix(end + 1);
  }
}

}  // namespace assay
