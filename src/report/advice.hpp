#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "report/report.hpp"

namespace assay {

/// What a user needs of a file. Nothing stands for no limit.
struct Needs {
  std::optional<double> max_bytes{};   ///< of the weights
  std::optional<double> max_memory{};  ///< peak resident bytes
  std::optional<double> min_decode{};  ///< tokens per second
  std::optional<double> max_kl{};      ///< mean, nats per token
};

/// Recommendations by fixed rules, each resting on measurements of the report and naming them. What is not
/// measured is not advised on; a best one is named only where a paired comparison shows it.
std::vector<Advice> advise(const Report& report, const Needs& needs);

}  // namespace assay
