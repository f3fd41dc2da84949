#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/generate.hpp"

namespace assay {

/// Prints answers on stdout in the order of their prompts, a summary of each on stderr: piece by piece as
/// they come, or whole where several are written side by side.
class AnswerPrinter {
 public:
  /// Both must outlive it.
  AnswerPrinter(const std::vector<std::string>& prompts, int64_t samples, bool side_by_side,
                LanguageModel& model);
  void add(size_t index, std::string_view text);
  void complete(size_t index, const Generation& result);

 private:
  struct Answer {
    std::string text;
    std::string summary;
    bool announced = false, complete = false;
  };
  void announce(size_t index);
  /// Prints what no earlier answer holds back.
  void print_next();

  const std::vector<std::string>& prompts_;
  const size_t samples_;
  const bool side_by_side_;
  LanguageModel& model_;
  std::vector<Answer> answers_;
  size_t next_ = 0;
};

/// One answer: the document itself; several: {results, total_s, total_tok_s, batch}.
nlohmann::ordered_json answers_json(std::span<const Generation> results, double seconds, int64_t batch,
                                    LanguageModel& model);

}  // namespace assay
