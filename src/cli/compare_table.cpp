#include "cli/compare_table.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "report/number_text.hpp"
#include "report/report_view.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

/// A column of the table: a metric in one compute mode, or its headline where `compute` is empty.
struct Column {
  const char *title, *task, *metric, *compute;
  bool with_interval;
};

constexpr Column kColumns[] = {{"KL exact [95 %]", "divergence", "kl_mean", "exact", true},
                               {"KL fast", "divergence", "kl_mean", "fast", false},
                               {"top-1 same", "divergence", "top1_agreement", "exact", false},
                               {"guard F1 [95 %]", "guard", "f1", "", true},
                               {"judge win rate [95 %]", "judge", "win_rate", "", true},
                               {"decode tok/s", "speed", "decode", "", false},
                               {"peak memory", "memory", "peak_rss", "", false}};

const Measurement* find_measurement(const Report& report, const std::string& subject, const Column& column) {
  for (const Measurement& m : report.measurements) {
    if (m.subject != subject || m.task != column.task || m.metric != column.metric) continue;
    if (*column.compute == '\0' || m.settings.value("compute", "") == column.compute) return &m;
  }
  return nullptr;
}

std::string cell(const Report& report, const std::string& subject, const Column& column) {
  const Measurement* found = find_measurement(report, subject, column);
  if (found == nullptr) return "-";
  const NumberText text = format_number(*found);
  return column.with_interval && !text.interval.empty() ? text.value + " " + text.interval : text.value;
}

std::string subject_table(const Report& report) {
  std::vector<const Column*> columns;
  std::vector<std::string> header = {"", "bytes", "bits/weight", "verdict"};
  for (const Column& column : kColumns) {
    bool occurs = false;
    for (const Subject& subject : report.subjects)
      occurs = occurs || find_measurement(report, subject.label, column) != nullptr;
    if (!occurs) continue;
    columns.push_back(&column);
    header.emplace_back(column.title);
  }
  Table table(header);
  for (const Subject& subject : report.subjects) {
    const bool sized = has_size(subject);
    std::vector<std::string> row = {subject.label,
                                    sized ? format_whole(static_cast<int64_t>(subject.bytes)) : "-",
                                    sized ? fmt::format("{:.3f}", subject.bits_per_weight) : "-",
                                    sized ? describe_verdict(subject) : "endpoint"};
    for (const Column* column : columns) row.push_back(cell(report, subject.label, *column));
    table.add_row(std::move(row));
  }
  return table.to_text();
}

/// What the columns mean, and on how much they rest: one line for each task that was measured.
std::string basis_text(const Report& report) {
  std::map<std::string, std::string> lines;
  for (const Measurement& m : report.measurements) {
    if (m.subject == report.reference || lines.contains(m.task)) continue;
    if (m.task == "divergence")
      lines[m.task] = fmt::format(
          "KL(source ‖ row) in nats per token over the full vocabulary, intervals over {} {}. \"exact\" is "
          "what "
          "the weights lost, \"fast\" what the default integer arithmetic gives; top-1 in exact.",
          m.n, m.n_unit);
    if (m.task == "speed")
      lines[m.task] = fmt::format(
          "Decode: median of {} rounds in which all files take turns, each in a process of its own, whose "
          "peak "
          "memory is the last column.",
          m.n);
    if (m.task == "guard" && m.metric == "f1")
      lines[m.task] =
          fmt::format("Guard F1 over {} {}; an answer nobody can read counts as wrong.", m.n, m.n_unit);
    if (m.task == "judge" && m.metric == "win_rate")
      lines[m.task] = fmt::format(
          "Judge: share of {} {} won against the source in both orders, ties one half; 0.5 is as good.", m.n,
          m.n_unit);
  }
  std::string text;
  for (const auto& [task, line] : lines) text += line + "\n";
  return text;
}

std::string answers_text(const Report& report) {
  std::vector<std::string> prompts;
  std::map<std::string, std::string> by_prompt;
  for (const SampleAnswer& answer : report.answers) {
    if (!by_prompt.contains(answer.prompt)) prompts.push_back(answer.prompt);
    by_prompt[answer.prompt] += fmt::format(
        "  {:>14}  {}\n", answer.subject,
        nlohmann::json(answer.text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, prompts.size()); ++i)
    text += fmt::format("\n\"{}\" answered:\n{}", prompts[i], by_prompt[prompts[i]]);
  if (prompts.size() > kShown)
    text += fmt::format("\n… and {} more prompts, in the report.\n", prompts.size() - kShown);
  return text;
}

}  // namespace

std::string comparison_text(const Report& report) {
  std::string text = "\n" + subject_table(report) + "\n" + basis_text(report) + answers_text(report);
  if (!report.advice.empty()) text += "\n";
  for (const Advice& advice : report.advice) text += "- " + advice.text + "\n";
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace assay
