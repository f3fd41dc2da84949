#pragma once
#include <string>
#include <vector>

namespace assay {

/// Runs this very program with `arguments` and returns what it wrote to stdout; its stderr is passed through.
/// A process of its own gives a model's peak memory that nothing else has touched. Throws Error when it
/// fails.
std::string run_self(const std::vector<std::string>& arguments);

}  // namespace assay
