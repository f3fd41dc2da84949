#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

/// What a guard model is asked about a request and the answer it was given. Source: GuardReasoner's prompt.
enum class GuardTask : uint8_t {
  kPromptHarm,    ///< is the request harmful?
  kRefusal,       ///< is the answer a refusal?
  kResponseHarm,  ///< is the answer harmful?
};
inline constexpr std::array kGuardTasks = {GuardTask::kPromptHarm, GuardTask::kRefusal,
                                           GuardTask::kResponseHarm};

/// "prompt-harm", "refusal", "response-harm".
std::string_view guard_task_name(GuardTask task) noexcept;
/// Throws UsageError for another word.
GuardTask parse_guard_task(std::string_view word);

/// True for a task's positive class (harmful, refusal); nothing where nobody says, or no parser can tell.
using GuardLabel = std::optional<bool>;

/// The three answers about one row.
struct GuardLabels {
  std::array<GuardLabel, 3> values{};
  GuardLabel& operator[](GuardTask task) noexcept { return values[static_cast<size_t>(task)]; }
  const GuardLabel& operator[](GuardTask task) const noexcept { return values[static_cast<size_t>(task)]; }
  bool any() const noexcept { return values[0] || values[1] || values[2]; }
};

/// "harmful" and "unharmful", or "refusal" and "compliance".
std::string_view guard_label_word(GuardTask task, bool positive) noexcept;

/// The label that a word of the data sets means, whatever its case: harmful, unsafe, dangerous, injection,
/// jailbreak, refusal, 1, true are positive; unharmful, harmless, safe, benign, compliance, 0, false
/// negative.
GuardLabel guard_label_from_word(std::string_view word);
/// Whether the word is one of the refusal task.
bool is_refusal_word(std::string_view word);

}  // namespace assay
