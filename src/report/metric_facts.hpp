#pragma once
#include <string>
#include <string_view>

namespace assay {

enum class Direction { kLowerIsBetter, kHigherIsBetter, kNeither };

/// What a report says of a metric besides its value. A metric that is not listed reads as its own name.
struct MetricFact {
  std::string title;    ///< "KL divergence, mean"
  std::string group;    ///< the table of its task that it stands in
  std::string meaning;  ///< one plain sentence; may be empty
  Direction direction = Direction::kNeither;
  int order = 1000;  ///< of columns; what matters first is first
};

/// The facts of `metric` as `task` uses it.
MetricFact metric_fact(std::string_view task, std::string_view metric);
/// "Divergence from the reference"
std::string task_title(std::string_view task);
/// What the task asks, in a sentence for newcomers; "" for a task that is not listed.
std::string task_meaning(std::string_view task);
/// Where the task's section stands in a report.
int task_order(std::string_view task);

}  // namespace assay
