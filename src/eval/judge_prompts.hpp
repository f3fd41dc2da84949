#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// A prompt that candidates answer and a judge reads.
struct JudgePrompt {
  std::string id;
  std::string category;
  std::vector<std::string> turns;               ///< what the user says, turn by turn; one or more
  std::vector<std::string> expected_qualities;  ///< words for the judge; may be empty
};

struct PromptSet {
  std::string name;    ///< "builtin", or the file's name
  std::string sha256;  ///< of the prompts themselves, whatever file format carried them
  std::vector<JudgePrompt> prompts;
};

/// The seven prompts by which LlamaPajamas' evaluator compared its outputs: code 3, technical_explanation 2,
/// factual 1, conceptual 1. Source: llama-farm/LlamaPajamas, its evaluation scripts.
PromptSet builtin_prompts();

/// Prompts of a JSONL, JSON, CSV or TSV file with the members id, prompt, category and expected_qualities
/// (a list, or words separated by commas or semicolons), all but prompt optional; or of MT-Bench's and
/// Vicuna's question.jsonl (question_id, category, turns). `all_turns` false keeps the first turn of each.
/// Throws Error naming file and row for a row without a prompt and for an id that occurs twice.
PromptSet read_prompt_set(const std::filesystem::path& path, bool all_turns);

/// The first `n` prompts, hashed anew.
PromptSet first_prompts(const PromptSet& set, size_t n);

/// Whether the prompt asks for a program: its category is "code" or "coding".
bool asks_for_code(const JudgePrompt& prompt) noexcept;

}  // namespace assay
