#pragma once
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "eval/divergence.hpp"
#include "report/report.hpp"

namespace assay {

/// Adds the divergence of every subject that runs here from the reference's exact arithmetic, on each corpus:
/// "exact" is what the weights lost, "fast" what users run. Also the curves over position and confidence, and
/// the paired differences: of mean KL between all of them, of the perplexity against the reference.
void compare_divergence(Report& report, const std::vector<Corpus>& corpora, const WindowOptions& windows,
                        int threads, Progress& progress);

}  // namespace assay
