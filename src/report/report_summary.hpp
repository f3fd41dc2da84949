#pragma once
#include <string>
#include <vector>

#include "report/report.hpp"

namespace assay {

/// A part of a sentence: words, a subject's label, or the number of a measurement.
struct SentencePart {
  enum class Kind { kWords, kSubject, kNumber };
  Kind kind = Kind::kWords;
  std::string text{};      ///< words or label
  size_t measurement = 0;  ///< index into Report::measurements
};
using Sentence = std::vector<SentencePart>;

/// One question a newcomer has, and the answers.
struct SummaryLine {
  std::string question;
  std::vector<Sentence> answers;
};

/// What a report says at its top in plain words: what was compared, whether the files are what they say, what
/// quantization cost, and who wins. A winner is named only where a paired interval excludes 0.
std::vector<SummaryLine> summarize(const Report& report);

}  // namespace assay
