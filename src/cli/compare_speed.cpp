#include "cli/compare_speed.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/error.hpp"
#include "cli/subprocess.hpp"
#include "eval/sample_median.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// What one subject gave in every round.
struct Course {
  const Subject* subject;
  std::vector<double> prefill{}, decode{}, load{};
  Json row{};  ///< the last round's, for figures that do not vary: bytes of weights and KV cache
  double peak_rss_bytes = 0.0;
};

const Json& find_run(const Json& document, std::string_view test) {
  for (const Json& run : document.at("runs"))
    if (run.at("test").get<std::string>().starts_with(test)) return run;
  throw Error("bench gave no such test");
}

Json run_bench(const Subject& subject, const SpeedComparisonOptions& options) {
  std::vector<std::string> arguments = {"bench",
                                        subject.path,
                                        "--json",
                                        "--repeats",
                                        "1",
                                        "--prefill",
                                        std::to_string(options.prefill_tokens),
                                        "--decode",
                                        std::to_string(options.decode_tokens)};
  if (options.threads > 0) arguments.insert(arguments.end(), {"--threads", std::to_string(options.threads)});
  return Json::parse(run_self(arguments));
}

void add_round(Course& course, const Json& document) {
  course.row = find_run(document, "decode");
  course.prefill.push_back(find_run(document, "prefill").at("median").get<double>());
  course.decode.push_back(course.row.at("median").get<double>());
  course.load.push_back(find_run(document, "load").at("median").get<double>());
  course.peak_rss_bytes = std::max(course.peak_rss_bytes, course.row.at("peak_rss_bytes").get<double>());
}

Json settings_of(const SpeedComparisonOptions& options) {
  return {
      {"compute", "fast"},
      {"prefill_tokens", options.prefill_tokens},
      {"decode_tokens", options.decode_tokens},
      {"rounds", options.rounds},
      {"threads", options.threads > 0 ? Json(options.threads) : Json("physical cores")},
      {"interval", "median and its 95 % interval by order statistics; subjects alternate within a round"}};
}

void add_measurements(Report& report, const Course& course, const Json& settings) {
  const auto add = [&](const char* task, const char* metric, const char* unit, const Estimate& estimate) {
    Measurement made = make_measurement(course.subject->label, task, metric, unit, estimate, "rounds");
    made.settings = settings;
    made.file_sha256 = course.subject->sha256;
    report.measurements.push_back(std::move(made));
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto rounds = static_cast<int64_t>(course.decode.size());
  const auto plain = [&](double value) { return Estimate{value, -kInfinity, kInfinity, rounds}; };
  add("speed", "decode", "tok/s", sample_median(course.decode));
  add("speed", "prefill", "tok/s", sample_median(course.prefill));
  add("speed", "load", "s", sample_median(course.load));
  add("memory", "peak_rss", "bytes", plain(course.peak_rss_bytes));
  add("memory", "weights", "bytes", plain(course.row.at("weight_bytes").get<double>()));
  add("memory", "kv_cache", "bytes", plain(course.row.at("kv_bytes").get<double>()));
}

PairedComparison compare_decode(const Course& first, const Course& second, const Json& settings) {
  std::vector<double> differences;
  for (size_t round = 0; round < first.decode.size(); ++round)
    differences.push_back(second.decode[round] - first.decode[round]);
  return {.task = "speed",
          .metric = "decode",
          .unit = "tok/s",
          .first = first.subject->label,
          .second = second.subject->label,
          .difference = sample_median(differences),
          .settings = settings};
}

}  // namespace

void compare_speed(Report& report, const SpeedComparisonOptions& options, Progress& progress) {
  std::vector<Course> courses;
  for (const Subject& subject : report.subjects)
    if (subject.kind != "endpoint") courses.push_back({.subject = &subject});
  progress.begin("bench", courses.size() * static_cast<uint64_t>(options.rounds), "run");
  for (int round = 0; round < options.rounds; ++round) {
    for (Course& course : courses) {
      const Json document = run_bench(*course.subject, options);
      add_round(course, document);
      report.machine = document.at("machine");
      progress.advance(1);
    }
  }
  progress.end();
  if (report.machine.contains("read_gb_s"))  // more digits say more than a few sweeps know
    report.machine["read_gb_s"] = std::round(report.machine["read_gb_s"].get<double>() * 10.0) / 10.0;
  const Json settings = settings_of(options);
  for (const Course& course : courses) add_measurements(report, course, settings);
  for (size_t second = 1; second < courses.size(); ++second)
    for (size_t first = 0; first < second; ++first)
      report.comparisons.push_back(compare_decode(courses[first], courses[second], settings));
}

}  // namespace assay
