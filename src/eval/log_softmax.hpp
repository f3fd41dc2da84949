#pragma once
#include <span>
#include <vector>

namespace assay {

/// log(softmax(logits)) in double: the differences to the maximum are summed in ascending index order, so the
/// same logits give the same bits. `out` is resized to fit. Throws Error when a logit is NaN or
/// +inf, or none is finite.
void log_softmax(std::span<const float> logits, std::vector<double>& out);

}  // namespace assay
