#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/measurement.hpp"

namespace assay {

/// One tensor of a subject: what it is stored as and how far it lies from the reference's.
struct TensorFact {
  std::string name{}, role{}, format{};
  uint64_t bytes = 0;
  double bits_per_weight = 0.0;
  std::optional<double> relative_error{};  ///< ‖w − ŵ‖ / ‖w‖
};

/// A file, directory or endpoint that was measured.
struct Subject {
  std::string label{};   ///< unique within the report
  std::string kind{};    ///< "reference", "recipe", "file" or "endpoint"
  std::string path{};    ///< or the endpoint's address
  std::string sha256{};  ///< of the weights; empty for an endpoint
  std::string recipe{};  ///< what was requested; empty for a file that is not ours
  uint64_t bytes = 0, parameters = 0;
  std::optional<double> requested_bits{};
  double bits_per_weight = 0.0;
  std::string verdict{};         ///< inspect's; empty for an endpoint
  std::optional<bool> proven{};  ///< verify's, where there is a source to hold it to
  std::vector<TensorFact> tensors{};
};

/// A curve: y over x with its interval, e.g. KL by position or by the reference's confidence.
struct Series {
  std::string subject{}, task{}, metric{}, x_name{}, unit{};
  struct Point {
    double x = 0.0, y = 0.0;
    std::optional<double> low{}, high{};
    int64_t n = 0;
    std::string label{};  ///< of a category axis, e.g. "0.5–0.7"
  };
  std::vector<Point> points{};
  std::string n_unit{};               ///< what the points count: "tokens"
  nlohmann::ordered_json settings{};  ///< as a Measurement's
  std::string file_sha256{};          ///< of the weights
};

/// counts[truth][prediction]; answers no parser could read stand apart, by truth.
struct ConfusionMatrix {
  std::string subject{}, task{}, dataset{};
  std::vector<std::string> labels{};
  std::vector<std::vector<int64_t>> counts{};
  std::vector<int64_t> unparsed{};
  nlohmann::ordered_json settings{};  ///< as a Measurement's
  std::string file_sha256{};          ///< of the weights
};

/// An item on which a candidate's answer differs from the reference's.
struct Flip {
  std::string subject{}, task{}, dataset{}, id{}, text{}, truth{}, reference{}, candidate{};
  std::optional<double> reference_margin{}, candidate_margin{};
};

/// The same prompt answered by a subject.
struct SampleAnswer {
  std::string subject{}, prompt{}, category{}, text{}, finish_reason{};
  std::vector<std::string> flags{};  ///< "truncated", "empty", "repetitive", …
  int64_t tokens = 0;
};

/// A recommendation and the indices (into Report::measurements) of the numbers it rests on.
struct Advice {
  std::string text{};
  std::vector<size_t> measurements{};
};

/// All that `compare` found out: report.json, from which report.md and report.html are drawn.
struct Report {
  std::string title, created, tool_version;  ///< created: UTC, ISO 8601
  nlohmann::ordered_json machine{};          ///< as `bench --json` says it
  std::string reference;                     ///< label of the subject everything is compared with
  std::vector<Subject> subjects;
  std::vector<Measurement> measurements;
  std::vector<PairedComparison> comparisons;
  std::vector<Series> series;
  std::vector<ConfusionMatrix> matrices;
  std::vector<Flip> flips;
  std::vector<SampleAnswer> answers;
  std::vector<Advice> advice;
  std::vector<std::string> notes;  ///< what was not measured and why
};

/// The number report.json carries as "schema". It counts up when a reader of the older one would misread it.
inline constexpr int64_t kReportSchema = 1;

nlohmann::ordered_json to_json(const Report& report);
/// Throws Error naming what is missing or wrong; a document of a newer schema is refused.
Report report_from_json(const nlohmann::ordered_json& json);

/// report.md: GitHub-flavoured Markdown.
std::string to_markdown(const Report& report);
/// report.html: one self-contained page that fetches nothing.
std::string to_html(const Report& report);

/// Writes report.json, report.md and report.html into `directory`, each whole or not at all.
void write_report(const Report& report, const std::filesystem::path& directory, bool overwrite);
/// Reads `directory`/report.json, or the file itself.
Report read_report(const std::filesystem::path& path);

}  // namespace assay
