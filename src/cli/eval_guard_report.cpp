#include "cli/eval_guard_report.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cli/options.hpp"
#include "eval/guard_benchmarks.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json class_json(const GuardClassScore& score, const BinaryMatrix& matrix) {
  return {{"support", score.support},
          {"precision", to_json(score.precision)},
          {"recall", to_json(score.recall)},
          {"f1", to_json(score.f1)},
          {"tp", matrix.tp},
          {"fp", matrix.fp},
          {"fn", matrix.fn},
          {"tn", matrix.tn}};
}

Json metrics_json(const GuardReport& report, const GuardScore& score) {
  const bool one = score.one_class();
  Json metrics = {{one ? "f1_one_class" : "f1", to_json(score.positive.f1)}};
  for (const UnparsedRule rule : kUnparsedRules)
    metrics[fmt::format("f1_{}", unparsed_rule_name(rule))] = {
        {"value", score.f1(rule)}, {"low", nullptr}, {"high", nullptr}, {"n", score.total}};
  metrics["accuracy"] = to_json(score.accuracy);
  metrics["accuracy_parsed"] = to_json(score.accuracy_parsed);
  metrics["precision"] = to_json(score.positive.precision);
  metrics["recall"] = to_json(score.positive.recall);
  metrics["false_positive_rate"] = to_json(score.false_positive_rate);
  metrics["truncated_share"] = to_json(score.truncated_share);
  metrics["f1_truncated_wrong"] = {{"value", score.f1_truncated_wrong}, {"n", score.total}};
  metrics["f1_truncated_excluded"] = {{"value", score.f1_truncated_excluded}, {"n", score.total}};
  if (!report.published.empty())
    if (const auto f1 = published_guard_f1(score.set, score.task, report.published))
      metrics["f1_published_by_authors"] = {{"value", *f1}, {"size", report.published}};
  return metrics;
}

Json score_json(const GuardReport& report, const GuardSubject& subject, const GuardScore& score) {
  const BinaryMatrix& matrix = score.matrix[0];
  Json matrices = Json::object();
  for (const UnparsedRule rule : kUnparsedRules) {
    const BinaryMatrix& m = score.matrix[static_cast<size_t>(rule)];
    matrices[std::string(unparsed_rule_name(rule))] = {
        {"tp", m.tp}, {"fp", m.fp}, {"fn", m.fn}, {"tn", m.tn}};
  }
  const std::string positive(guard_label_word(score.task, true)),
      negative(guard_label_word(score.task, false));
  return {{"path", subject.path},
          {"set", score.set},
          {"task", guard_task_name(score.task)},
          {"metric", metrics_json(report, score)},
          {"rows", {{"total", score.total}, {"parsed", score.parsed}, {"failed", score.failed}}},
          {"unparsed", {{positive, score.unparsed[1]}, {negative, score.unparsed[0]}}},
          {"truncated", {{positive, score.truncated[1]}, {negative, score.truncated[0]}}},
          {"one_class", score.one_class()},
          {"too_truncated", score.too_truncated()},
          {"confusion", matrices},
          {"classes",
           {{positive, class_json(score.positive, matrix)},
            {negative, class_json(score.negative, matrix.mirrored())}}},
          {"settings", subject.settings}};
}

Json subject_json(const GuardSubject& subject) {
  Json averages = Json::array();
  for (const GuardAverage& average : subject.summary.averages)
    averages.push_back({{"task", guard_task_name(average.task)},
                        {"sets", average.sets},
                        {"rows", average.rows},
                        {"f1", to_json(average.headline)},
                        {"f1_published", average.f1[1]},
                        {"f1_dropped", average.f1[2]}});
  const GuardTiming& timing = subject.timing;
  return {{"path", subject.path},
          {"model", subject.model},
          {"weighted_average", averages},
          {"macro_of_tasks", subject.summary.macro_defined ? to_json(subject.summary.macro) : Json()},
          {"timing",
           {{"rows", timing.rows},
            {"seconds_per_row", timing.seconds_mean},
            {"seconds_per_row_median", timing.seconds_median},
            {"prefill_seconds", timing.prefill_seconds},
            {"decode_seconds", timing.decode_seconds},
            {"prompt_tokens", timing.prompt_tokens},
            {"answer_tokens", timing.answer_tokens},
            {"threads", timing.threads},
            {"machine", timing.machine}}}};
}

Json label_json(GuardTask task, GuardLabel label) {
  return label ? Json(guard_label_word(task, *label)) : Json();
}

Json pairing_json(const GuardPairing& pairing) {
  Json all = Json::array();
  for (size_t i = 0; i < pairing.comparisons.size(); ++i) {
    const GuardComparison& comparison = pairing.comparisons[i];
    Json flips = Json::array();
    for (const GuardFlip& flip : comparison.flips)
      flips.push_back({{"set", flip.set},
                       {"id", flip.id},
                       {"truth", guard_label_word(flip.task, flip.truth)},
                       {"first", label_json(flip.task, flip.reference)},
                       {"second", label_json(flip.task, flip.candidate)}});
    Json made = {{"set", comparison.set.empty() ? Json() : Json(comparison.set)},
                 {"task", guard_task_name(comparison.task)},
                 {"n", comparison.n},
                 {"accuracy_difference", to_json(comparison.accuracy_difference)},
                 {"f1_difference", to_json(comparison.f1_difference)},
                 {"only_first_right", comparison.discordance.only_first},
                 {"only_second_right", comparison.discordance.only_second},
                 {"mcnemar_p", comparison.mcnemar},
                 {"mcnemar_p_holm", pairing.p_holm[i]},
                 {"n_needed", comparison.n_needed ? Json(*comparison.n_needed) : Json()}};
    made["agreement"] = pairing.baseline ? to_json(comparison.agreement) : Json();
    made["accuracy_retention"] = pairing.baseline ? to_json(comparison.accuracy_retention) : Json();
    made["f1_retention"] = pairing.baseline ? to_json(comparison.f1_retention) : Json();
    made["flips"] = flips;
    all.push_back(made);
  }
  return {{"first", pairing.first},
          {"second", pairing.second},
          {"speed_ratio", pairing.speed_ratio ? Json(*pairing.speed_ratio) : Json()},
          {"comparisons", all}};
}

Json margin_json(const GuardMarginRow& row) {
  const MarginScore& score = row.score;
  return {{"path", row.path},
          {"set", row.set},
          {"task", guard_task_name(row.task)},
          {"n", row.rows},
          {"auprc", to_json(score.average_precision)},
          {"own_threshold", score.own_threshold},
          {"f1_at_own_threshold", score.f1_own},
          {"f1_at_zero", to_json(score.f1_zero)},
          {"f1_at_reference_threshold", score.f1_at_reference ? to_json(*score.f1_at_reference) : Json()},
          {"most_fpr", score.most_fpr},
          {"recall_at_fpr", to_json(score.recall_at_fpr)}};
}

std::string percent(const Estimate& estimate) {
  if (!std::isfinite(estimate.low)) return fmt::format("{:.2f}", estimate.value * 100);
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", estimate.value * 100, estimate.low * 100,
                     estimate.high * 100);
}

std::string points(const Estimate& estimate) {
  if (!std::isfinite(estimate.low)) return fmt::format("{:+.2f}", estimate.value * 100);
  return fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", estimate.value * 100, estimate.low * 100,
                     estimate.high * 100);
}

std::string scores_text(const GuardReport& report, const GuardSubject& subject) {
  Table table({"set", "task", "n", "F1 [95 %]", "published rule", "dropped", "recall", "precision",
               "accuracy", "false alarms", "unread", "cut"});
  Table matrices({"set", "task", "TP", "FP", "FN", "TN", "F1 of the other class", "accuracy of the read"});
  std::string notes;
  for (const GuardScore& score : subject.summary.scores) {
    const bool one = score.one_class();
    const BinaryMatrix& matrix = score.matrix[0];
    const std::string task(guard_task_name(score.task));
    table.add_row({score.set, task, std::to_string(score.total),
                   one ? "recall only" : percent(score.positive.f1),
                   fmt::format("{:.2f}", score.f1(UnparsedRule::kPublished) * 100),
                   fmt::format("{:.2f}", score.f1(UnparsedRule::kDropped) * 100),
                   score.support[1] > 0 ? percent(score.positive.recall) : "n/a",
                   one ? "n/a" : percent(score.positive.precision), percent(score.accuracy),
                   score.support[0] > 0 ? percent(score.false_positive_rate) : "n/a",
                   std::to_string(score.unparsed[0] + score.unparsed[1]), percent(score.truncated_share)});
    matrices.add_row({score.set, task, std::to_string(matrix.tp), std::to_string(matrix.fp),
                      std::to_string(matrix.fn), std::to_string(matrix.tn),
                      one ? "n/a" : percent(score.negative.f1), percent(score.accuracy_parsed)});
    if (score.too_truncated())
      notes += fmt::format(
          "{} {}: {:.1f} % of the answers ended at the token limit: F1 {:.2f} with them wrong, "
          "{:.2f} without them; raise --max-tokens\n",
          score.set, task, score.truncated_share.value * 100, score.f1_truncated_wrong * 100,
          score.f1_truncated_excluded * 100);
    if (score.failed > 0)
      notes += fmt::format("{} {}: {} rows got no answer\n", score.set, task, score.failed);
    if (const auto f1 = published_guard_f1(score.set, score.task, report.published);
        f1 && !report.published.empty())
      notes += fmt::format("{} {}: the authors published F1 {:.2f} for {}\n", score.set, task, *f1 * 100,
                           report.published);
  }
  return table.to_text() + "\n" + matrices.to_text() + notes;
}

std::string averages_text(const GuardSubject& subject) {
  std::string text;
  for (const GuardAverage& average : subject.summary.averages)
    if (average.sets > 1)
      text +=
          fmt::format("{}: F1 weighted by rows over {} sets {} · published rule {:.2f} · dropped {:.2f}\n",
                      guard_task_name(average.task), average.sets, percent(average.headline),
                      average.f1[1] * 100, average.f1[2] * 100);
  if (subject.summary.macro_defined)
    text += fmt::format("mean of the three tasks: {}\n", percent(subject.summary.macro));
  const GuardTiming& timing = subject.timing;
  if (timing.rows > 0)
    text += fmt::format(
        "{} rows timed: {:.2f} s each (median {:.2f}), prefill {:.2f} + decode {:.2f} s, {} prompt and {} "
        "answer "
        "tokens, {} threads\n",
        timing.rows, timing.seconds_mean, timing.seconds_median,
        timing.prefill_seconds / static_cast<double>(timing.rows),
        timing.decode_seconds / static_cast<double>(timing.rows), timing.prompt_tokens, timing.answer_tokens,
        timing.threads == 0 ? "various" : std::to_string(timing.threads));
  return text;
}

std::string pairings_text(const std::vector<GuardPairing>& pairings) {
  Table table({"second against first", "set", "task", "n", "same label", "accuracy, points", "F1, points",
               "accuracy kept", "only first right", "only second", "McNemar p", "Holm",
               "n that would show it"});
  std::string speed;
  for (const GuardPairing& pairing : pairings) {
    for (size_t i = 0; i < pairing.comparisons.size(); ++i) {
      const GuardComparison& c = pairing.comparisons[i];
      table.add_row({fmt::format("{} against {}", pairing.second, pairing.first),
                     c.set.empty() ? "all" : c.set, std::string(guard_task_name(c.task)), std::to_string(c.n),
                     pairing.baseline ? percent(c.agreement) : "n/a", points(c.accuracy_difference),
                     points(c.f1_difference), pairing.baseline ? percent(c.accuracy_retention) : "n/a",
                     std::to_string(c.discordance.only_first), std::to_string(c.discordance.only_second),
                     fmt::format("{:.4f}", c.mcnemar), fmt::format("{:.4f}", pairing.p_holm[i]),
                     c.n_needed ? std::to_string(*c.n_needed) : "-"});
    }
    if (pairing.speed_ratio)
      speed += fmt::format("{} took 1/{:.2f} of the time of {}\n", pairing.second, *pairing.speed_ratio,
                           pairing.first);
  }
  return table.to_text() + speed;
}

std::string margins_text(const std::vector<GuardMarginRow>& rows) {
  Table table({"path", "set", "task", "n", "AUPRC [95 %]", "F1 at the reference's threshold", "F1 at 0",
               "recall at the false alarms allowed"});
  for (const GuardMarginRow& row : rows)
    table.add_row(
        {row.path, row.set, std::string(guard_task_name(row.task)), std::to_string(row.rows),
         percent(row.score.average_precision),
         row.score.f1_at_reference ? percent(*row.score.f1_at_reference) : "n/a", percent(row.score.f1_zero),
         fmt::format("{} at {:.1f} %", percent(row.score.recall_at_fpr), row.score.most_fpr * 100)});
  return table.to_text();
}

std::string model_text(const GuardSubject& subject) {
  if (subject.model.is_null()) return fmt::format("{} · stored answers\n", subject.path);
  return fmt::format("{} · {} · {:.2f} bits per weight · {} · {} compute\n", subject.path,
                     subject.model.value("container", ""), subject.model.value("bits_per_weight", 0.0),
                     subject.model.value("verdict", ""), subject.model.value("compute", ""));
}

}  // namespace

Json guard_report_json(const GuardReport& report) {
  Json results = Json::array(), subjects = Json::array(), pairings = Json::array(), margins = Json::array();
  for (const GuardSubject& subject : report.subjects) {
    subjects.push_back(subject_json(subject));
    for (const GuardScore& score : subject.summary.scores)
      results.push_back(score_json(report, subject, score));
  }
  for (const GuardPairing& pairing : report.pairings) pairings.push_back(pairing_json(pairing));
  for (const GuardMarginRow& row : report.margins) margins.push_back(margin_json(row));
  return {{"task", "guard"},    {"reference", report.reference.empty() ? Json() : Json(report.reference)},
          {"results", results}, {"subjects", subjects},
          {"pairs", pairings},  {"margins", margins}};
}

std::string guard_report_text(const GuardReport& report) {
  std::string text;
  for (const GuardSubject& subject : report.subjects)
    text += model_text(subject) + "\n" + scores_text(report, subject) + averages_text(subject) + "\n";
  if (!report.margins.empty()) text += margins_text(report.margins) + "\n";
  if (!report.pairings.empty()) text += pairings_text(report.pairings) + "\n";
  if (report.reference.empty()) text += "agreement and retention: n/a, no --reference was measured\n";
  return text;
}

}  // namespace assay
