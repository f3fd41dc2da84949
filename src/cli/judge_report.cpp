#include "cli/judge_report.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cli/options.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

std::string show(const Estimate& estimate, int decimals = 3) {
  if (estimate.n == 0) return "–";
  if (!std::isfinite(estimate.low)) return fmt::format("{:.{}f}", estimate.value, decimals);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", estimate.value, decimals, estimate.low, decimals,
                     estimate.high, decimals);
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100.0 * share) : "–";
}

/// Members of `metric`: every Measurement of the subject.
Json metrics_of(const std::vector<Measurement>& measurements, const std::string& subject) {
  Json metrics = Json::object();
  for (const Measurement& m : measurements) {
    if (m.subject != subject) continue;
    metrics[m.metric] = {{"value", m.value},
                         {"low", m.low ? Json(*m.low) : Json()},
                         {"high", m.high ? Json(*m.high) : Json()},
                         {"n", m.n}};
  }
  return metrics;
}

Json answers_json(const JudgeTask& task, const AnswerSet& answers) {
  Json list = Json::array();
  for (size_t i = 0; i < answers.answers.size(); ++i) {
    const PromptAnswer& answer = answers.answers[i];
    list.push_back({{"id", answer.prompt_id},
                    {"category", task.prompts.prompts[i].category},
                    {"texts", answer.texts},
                    {"tokens", answer.tokens()},
                    {"flags", flag_names(answer.flags)}});
  }
  return list;
}

Json subject_json(const JudgeReport& report, const JudgedSubject& subject, const std::string& path,
                  const std::vector<Measurement>& measurements) {
  Json comparisons = Json::array();
  for (const PairedComparison& comparison : subject.comparisons) {
    comparisons.push_back(to_json(comparison));
    comparisons.back()["verdict"] = describe_verdict(comparison);
  }
  Json json = {{"path", path},
               {"label", subject.answers.subject},
               {"file_sha256", subject.answers.file_sha256},
               {"metric", metrics_of(measurements, subject.answers.subject)},
               {"settings", report.result.settings},
               {"summary", to_json(subject.summary)},
               {"comparisons", comparisons},
               {"answers", answers_json(report.task, subject.answers)}};
  if (subject.pairwise) json["pairwise"] = to_json(*subject.pairwise);
  if (subject.pointwise) json["pointwise"] = to_json(*subject.pointwise);
  return json;
}

std::string head_text(const JudgeReport& report) {
  const JudgeTask& task = report.task;
  const Json& settings = report.result.settings;
  std::string text =
      fmt::format("judge {} · {} · {} prompts ({}, sha256 {}) · {} repeats{} · {}, at most {} tokens\n",
                  settings["judge_model"].get<std::string>(), judge_mode_name(task.mode),
                  task.prompts.prompts.size(), task.prompts.name, task.prompts.sha256.substr(0, 12),
                  task.repeats, task.mode == JudgeMode::kPairwise ? " × 2 orders" : "",
                  task.decoding.temperature == 0.0 ? std::string("greedy")
                                                   : fmt::format("temperature {}", task.decoding.temperature),
                  task.decoding.max_tokens);
  if (!report.reference.empty()) text += fmt::format("reference {}\n", report.reference);
  if (const auto& control = report.result.control; control && control->judged > 0)
    text +=
        fmt::format("noise floor, reference against itself: win rate {} · decided {} · orders agree {}\n",
                    show(control->win_rate), percent(1.0 - control->ties.value), show(control->consistency));
  if (const auto& planted = report.result.planted; planted && planted->judged > 0)
    text += fmt::format("planted bad answers the judge saw: {} of {}\n", show(sensitivity_of(*planted)),
                        planted->judged);
  return text + "\n";
}

std::string pairwise_table(const JudgeReport& report) {
  Table table({"candidate", "win rate [95 %]", "win / tie / loss", "at equal length", "same text", "missing",
               "truncated", "verdict"});
  for (const JudgedSubject& subject : report.result.candidates) {
    const PairwiseResult& r = *subject.pairwise;
    table.add_row(
        {subject.answers.subject, show(r.win_rate),
         fmt::format("{} / {} / {}", percent(r.wins.value), percent(r.ties.value), percent(r.losses.value)),
         show(r.length_controlled), std::to_string(r.identical), std::to_string(r.missing_pairs),
         percent(subject.summary.truncated.value), describe_verdict(subject.comparisons.at(0))});
  }
  return table.to_text();
}

void add_point_rows(const JudgedSubject& subject, Table& table) {
  const PointwiseResult& r = *subject.pointwise;
  const auto row = [&](const std::string& category, const std::array<Estimate, 4>& means) {
    table.add_row({subject.answers.subject, category, show(means[0], 2), show(means[1], 2), show(means[2], 2),
                   show(means[3], 2), means[3].n > 0 ? std::string(score_band(means[3].value)) : "–",
                   std::to_string(means[3].n)});
  };
  row("all", r.means);
  for (const auto& [category, means] : r.by_category) row(category, means);
}

std::string pointwise_table(const JudgeReport& report) {
  Table table({"subject", "category", "accuracy", "coherence", "relevance", "quality [95 %]", "band", "n"});
  if (report.result.reference) add_point_rows(*report.result.reference, table);
  for (const JudgedSubject& subject : report.result.candidates) add_point_rows(subject, table);
  std::string text = table.to_text();
  for (const JudgedSubject& subject : report.result.candidates)
    for (const PairedComparison& comparison : subject.comparisons)
      text += fmt::format("{}, {}: {:+.2f} points against the reference, {}\n", comparison.second,
                          comparison.metric, comparison.difference.value, describe_verdict(comparison));
  return text;
}

std::string category_table(const JudgeReport& report) {
  Table table({"candidate", "category", "win rate [95 %]", "n"});
  for (const JudgedSubject& subject : report.result.candidates)
    for (const auto& [category, estimate] : subject.pairwise->win_rate_by_category)
      table.add_row({subject.answers.subject, category, show(estimate), std::to_string(estimate.n)});
  return table.to_text();
}

std::string answers_table(const JudgeReport& report) {
  Table table(
      {"subject", "tokens", "s/prompt", "tok/s", "truncated", "empty", "repetitive", "code", "code closed"});
  const auto row = [&](const JudgedSubject& subject) {
    const AnswerSummary& s = subject.summary;
    table.add_row({subject.answers.subject, fmt::format("{:.1f}", s.tokens.value),
                   fmt::format("{:.2f}", s.seconds.value), fmt::format("{:.1f}", s.tokens_per_second),
                   percent(s.truncated.value), percent(s.empty.value), percent(s.repetitive.value),
                   s.code.n > 0 ? percent(s.code.value) : "–",
                   s.code.n > 0 ? percent(s.code_closed.value) : "–"});
  };
  if (report.result.reference) row(*report.result.reference);
  for (const JudgedSubject& subject : report.result.candidates) row(subject);
  std::string text = table.to_text();
  const auto warn = [&](const JudgedSubject& subject) {
    if (subject.summary.too_many_truncated())
      text += fmt::format(
          "{}: {} of the answers were cut by --max-tokens, more than 2 %: not a sound comparison\n",
          subject.answers.subject, percent(subject.summary.truncated.value));
  };
  if (report.result.reference) warn(*report.result.reference);
  for (const JudgedSubject& subject : report.result.candidates) warn(subject);
  return text;
}

std::string ledger_text(const JudgeLedger& ledger) {
  const TokenUsage& u = ledger.usage;
  std::string text = fmt::format(
      "{} calls for {} verdicts · {} invalid replies · {} missing · tokens: {} in ({} cached), {} out ({} "
      "reasoning)",
      u.calls, ledger.requests, ledger.invalid_replies, ledger.missing, u.input, u.cached_input, u.output,
      u.reasoning);
  if (u.estimated > 0)
    text += fmt::format(" · {} calls without reported usage, a byte taken as a token", u.estimated);
  if (!ledger.cost) return text + " · cost unknown: no prices given\n";
  text += fmt::format(" · cost {:.6f} {}", *ledger.cost, ledger.price->currency);
  if (ledger.valid > 0)
    text += fmt::format(", {:.8f} a verdict", *ledger.cost / static_cast<double>(ledger.valid));
  if (!ledger.price->version.empty()) text += fmt::format(" (prices: {})", ledger.price->version);
  return text + "\n";
}

}  // namespace

std::string describe_verdict(const PairedComparison& comparison) {
  if (comparison.difference.n == 0) return "no verdicts";
  switch (comparison.verdict()) {
    case PairedVerdict::kFirstBetter:
      return "worse than the reference";
    case PairedVerdict::kSecondBetter:
      return "better than the reference";
    case PairedVerdict::kNoDifferenceShown:
      break;
  }
  std::string text = fmt::format("no difference shown at n = {}", comparison.difference.n);
  if (comparison.n_needed) text += fmt::format(", {} would show this one", *comparison.n_needed);
  return text;
}

Json judge_report_json(const JudgeReport& report) {
  const JudgeTaskResult& result = report.result;
  const std::vector<Measurement> measurements = measurements_of(result);
  Json document = {{"task", "judge"},
                   {"reference", report.reference.empty() ? Json() : Json(report.reference)},
                   {"mode", judge_mode_name(report.task.mode)},
                   {"settings", result.settings}};
  document["reference_subject"] =
      result.reference ? subject_json(report, *result.reference, report.reference, measurements) : Json();
  document["control"] = result.control ? to_json(*result.control) : Json();
  document["planted"] = result.planted ? to_json(*result.planted) : Json();
  document["planted_seen"] = result.planted ? to_json(sensitivity_of(*result.planted)) : Json();
  document["ledger"] = to_json(result.ledger);
  document["results"] = Json::array();
  for (size_t i = 0; i < result.candidates.size(); ++i)
    document["results"].push_back(
        subject_json(report, result.candidates[i], report.addresses[i], measurements));
  document["measurements"] = Json::array();
  for (const Measurement& measurement : measurements)
    document["measurements"].push_back(to_json(measurement));
  return document;
}

std::string judge_report_text(const JudgeReport& report) {
  std::string text = head_text(report);
  if (report.task.mode == JudgeMode::kPairwise)
    text += pairwise_table(report) + "\n" + category_table(report) + "\n";
  else
    text += pointwise_table(report) + "\n";
  return text + answers_table(report) + "\n" + ledger_text(report.result.ledger);
}

}  // namespace assay
