#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

/// GuardReasoner's instruction, three blanks before line breaks and the line break at its end included.
/// Source: yueliu1999/GuardReasoner template.py.
extern const std::string_view kGuardInstruction;

/// How instruction and input become a prompt.
enum class GuardPrompt : uint8_t {
  kBenchmark,  ///< instruction, a further line break, input (generate.py): what its published scores rest on
  kDeploy,     ///< instruction, input (deploy.py and the model cards)
  kWizard101,  ///< as kBenchmark, but the three blanks are missing: what bigsnarfdude/wizard101 fed its
               ///< models
};
/// "benchmark", "deploy", "wizard101".
std::string_view guard_prompt_name(GuardPrompt variant) noexcept;
/// Throws UsageError for another word.
GuardPrompt parse_guard_prompt(std::string_view word);

/// "Human user:\n{prompt}\n\nAI assistant:\n{response}\n\n", the response "None" where there is none.
std::string guard_input(std::string_view prompt, const std::optional<std::string>& response);
/// The whole prompt, raw text.
std::string guard_prompt(GuardPrompt variant, std::string_view instruction, std::string_view input);

/// A request and the answer it was given, taken out of an input again.
struct GuardExchange {
  std::string prompt;
  std::optional<std::string> response;
};
/// The inverse of guard_input; nothing for a text of another form.
std::optional<GuardExchange> parse_guard_input(std::string_view input);

}  // namespace assay
