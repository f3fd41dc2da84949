#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/divergence.hpp"
#include "eval/measurement.hpp"

namespace assay {

/// What changes the figures and goes with every one of them: "compute", "corpus", "corpus_sha256", "context",
/// "scored", how the interval was made, what the reference is.
nlohmann::ordered_json divergence_settings(const DivergenceResult& result, const Corpus& corpus,
                                           const WindowOptions& options, Compute candidate,
                                           Compute reference);

/// How an interval over the result's documents or windows was made, or why there is none: what a figure's
/// "interval" setting says.
std::string describe_interval(const DivergenceResult& result, const Estimate& estimate, int resamples);

/// Every statistic of the result as a Measurement of task "divergence", about `subject`.
std::vector<Measurement> measurements_of(const DivergenceResult& result, const std::string& subject,
                                         const std::string& file_sha256,
                                         const nlohmann::ordered_json& settings);

/// Two candidates measured against the same reference on the same corpus: mean KL, top-1 agreement and ln PPL
/// ratio, second minus first, bootstrap over the documents (or windows) both share, p by exchange. n_needed:
/// so many documents of this kind would show the difference found.
std::vector<PairedComparison> compare_divergences(const DivergenceResult& first,
                                                  const DivergenceResult& second,
                                                  const std::string& first_subject,
                                                  const std::string& second_subject,
                                                  const nlohmann::ordered_json& settings);

/// The candidate's perplexity against the reference's own: ln PPL ratio, tested and planned in the same way.
PairedComparison compare_with_reference(const DivergenceResult& candidate,
                                        const std::string& reference_subject,
                                        const std::string& candidate_subject,
                                        const nlohmann::ordered_json& settings);

}  // namespace assay
