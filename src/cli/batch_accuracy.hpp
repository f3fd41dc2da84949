#pragma once
#include <filesystem>

#include "convert/batch_run.hpp"

namespace assay {

/// Reads labelled texts, one JSON object a line: {"text": …, "pair": … (optional), "label": a label's name or
/// number}, and returns what measures the share of right answers of a checkpoint and its output on them, in
/// exact arithmetic. Throws Error with the line of what is no such object; measuring throws Error for a model
/// without a classifier and for a label it does not have.
MeasureAccuracy accuracy_on(const std::filesystem::path& file, int threads);

}  // namespace assay
