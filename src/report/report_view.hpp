#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/report.hpp"

/// What the pages read out of a Report: its numbers by task, metric and subject. Nothing is computed.
namespace assay {

/// Rows of subjects, columns of metrics; every cell the index of a measurement.
struct MetricTable {
  std::string task, title;
  std::vector<std::string> conditions;  ///< settings in which otherwise equal measurements differ: "compute"
  struct Column {
    std::string metric, unit;
  };
  std::vector<Column> columns;
  struct Row {
    std::string subject;
    std::vector<std::string> conditions;  ///< their values; "" where the measurement has no such setting
    std::vector<std::optional<size_t>> cells;
  };
  std::vector<Row> rows;
};

/// Every task of the measurements, in the order of sections.
std::vector<std::string> tasks_of(const Report& report);
/// The task's measurements as tables, one for each group of metrics; rows in the order of the subjects.
std::vector<MetricTable> metric_tables(const Report& report, std::string_view task);
/// The measurement of `metric` that stands for the subject: in exact arithmetic where there is a choice,
/// else the first.
std::optional<size_t> find_headline(const Report& report, std::string_view subject, std::string_view task,
                                    std::string_view metric);
/// The task's first metric of those that tell better from worse; "" for none.
std::string headline_metric(const Report& report, std::string_view task);

const Subject* find_subject(const Report& report, std::string_view label);
/// Position among the subjects that are not the reference; nothing for the reference and unknown labels.
std::optional<size_t> candidate_index(const Report& report, std::string_view label);

/// The verdict and what it rests on: "quantized, proven", "fake", "quantized, not held to a source".
std::string describe_verdict(const Subject& subject);
/// Whether the subject is what it says: not fake, and not refuted by verify.
bool is_trusted(const Subject& subject);
/// The subject's numbers are those of a file that exists (and not of an endpoint).
bool has_size(const Subject& subject);

/// "Is B better than A" in words: the better one's label, or nothing.
std::optional<std::string> winner_of(const PairedComparison& comparison);
/// "no difference shown at n = 41; about 1,568 would show it".
std::string describe_no_difference(const PairedComparison& comparison);

}  // namespace assay
