#include "cli/encoder_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cli/options.hpp"
#include "report/table.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kFlipsShown = 10;

std::string show(const Estimate& estimate, int decimals) {
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", estimate.value, decimals, estimate.low, decimals,
                     estimate.high, decimals);
}

/// The text's beginning on one line.
std::string shorten(const std::string& text) {
  std::string line = text.substr(0, 70);
  while (line.size() < text.size() && (text[line.size()] & 0xc0) == 0x80) line += text[line.size()];
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return line.size() < text.size() ? line + "…" : line;
}

void add_drift(Table& table, const std::string& name, const EmbeddingDrift& d) {
  table.add_row({name, show(d.cosine, 5), fmt::format("{:.5f}", d.cosine_p5),
                 fmt::format("{:.5f}", d.cosine_min), fmt::format("{:.5f}", d.relative_l2),
                 fmt::format("{:.2e}", d.mse), fmt::format("{:.2e}", d.mse_normalized),
                 fmt::format("{:.4f}", d.max_absolute), std::to_string(d.candidate_not_finite),
                 fmt::format("{:.5f}", d.pair_spearman), fmt::format("{:.4f}", d.top1_same),
                 fmt::format("{:.4f}", d.neighbour_overlap), std::string(drift_band(d.cosine.value))});
}

std::string drift_text(const EncoderSummary& summary) {
  Table table({"vectors", "cosine mean [95 %]", "p5", "min", "rel. L2", "MSE", "MSE unit", "max abs",
               "NaN/Inf", "pair ρ", "top-1 same", "top-10 shared", "band"});
  if (summary.engine) add_drift(table, "engine: other → ours, full precision", *summary.engine);
  for (const EncoderReport& report : summary.candidates)
    add_drift(table, report.path, report.comparison.drift);
  std::string text = table.to_text();
  const EmbeddingDrift& first = summary.candidates.front().comparison.drift;
  text += fmt::format(
      "\nn = {} texts of {} numbers; {} pairs, whose mean cosine in the reference is {:.3f} "
      "(what unrelated texts have).\n",
      first.n, first.dim, first.pairs, first.unrelated_cosine);
  for (const EncoderReport& report : summary.candidates)
    text += fmt::format("worst text of {}: {:.5f} \"{}\"\n", report.path, report.comparison.drift.cosine_min,
                        shorten(summary.texts[static_cast<size_t>(report.comparison.drift.worst)]));
  return text;
}

void add_cost(Table& table, const std::string& name, const EncoderOutputs& outputs, double weight_ratio,
              double speed_ratio) {
  const double seconds = outputs.median_seconds();
  const auto rate = [&](double count) { return seconds > 0 ? fmt::format("{:.0f}", count / seconds) : "-"; };
  table.add_row({name, fmt::format("{:.2f}", static_cast<double>(outputs.weight_bytes) / 1e6),
                 fmt::format("{:.2f}", static_cast<double>(outputs.weight_bytes) / 0x1p20),
                 fmt::format("{:.2f}x", weight_ratio),
                 fmt::format("{:.2f}", static_cast<double>(outputs.resident_weight_bytes) / 1e6),
                 rate(static_cast<double>(outputs.vectors.size()) / static_cast<double>(outputs.dim)),
                 rate(static_cast<double>(outputs.tokens)),
                 speed_ratio > 0 ? fmt::format("{:.2f}x", speed_ratio) : "-"});
}

std::string cost_text(const EncoderSummary& summary) {
  Table table({"cost", "MB", "MiB", "smaller than f32", "resident MB", "texts/s", "tokens/s", "speed"});
  // Both ratios are of the same parameters as f32, so the reference's own follows from a candidate's.
  const EncoderReport& first = summary.candidates.front();
  add_cost(table, summary.reference_path, summary.reference,
           first.comparison.weight_ratio * static_cast<double>(first.outputs.weight_bytes) /
               static_cast<double>(std::max<uint64_t>(summary.reference.weight_bytes, 1)),
           1);
  for (const EncoderReport& report : summary.candidates)
    add_cost(table, report.path, report.outputs, report.comparison.weight_ratio,
             report.comparison.speed_ratio);
  return table.to_text();
}

std::string similarity_text(const EncoderSummary& summary) {
  Table table({"scores", "Spearman reference", "Spearman", "difference [95 %, paired]", "Pearson",
               "difference [95 %, paired]", "pairs"});
  for (const EncoderReport& report : summary.candidates) {
    if (!report.similarity) return {};
    const SimilarityScores& s = *report.similarity;
    table.add_row({report.path, show(s.reference_spearman, 4), show(s.candidate_spearman, 4),
                   show(s.spearman_difference, 4), show(s.candidate_pearson, 4),
                   show(s.pearson_difference, 4), std::to_string(s.reference_spearman.n)});
  }
  return table.to_text();
}

std::string classifier_text(const EncoderReport& report, const EncoderSummary& summary,
                            const std::vector<std::string>& labels) {
  const ClassifierComparison& c = *report.comparison.classifier;
  std::string text = fmt::format(
      "\n{}: {} of {} labels the same, {}; largest change of a probability {:.4f}; "
      "KL {} nats\n",
      report.path, c.n - static_cast<int64_t>(c.flips.size()), c.n, show(c.agreement, 4),
      c.max_probability_change, show(c.kl, 6));
  if (c.reference_score)
    text += fmt::format(
        "accuracy {} → {}, macro F1 {:.4f} → {:.4f}; right only before {}, only after {}: "
        "McNemar p = {:.3g}\n",
        show(c.reference_score->accuracy, 4), show(c.candidate_score->accuracy, 4),
        c.reference_score->macro_f1, c.candidate_score->macro_f1, c.only_reference_right,
        c.only_candidate_right, c.mcnemar);
  const auto name = [&](int64_t label) { return label < 0 ? "NaN" : labels[static_cast<size_t>(label)]; };
  for (size_t i = 0; i < std::min(c.flips.size(), kFlipsShown); ++i) {
    const LabelFlip& flip = c.flips[i];
    text += fmt::format("  flip: {} → {}, margins {:.3f} → {:.3f}: \"{}\"\n", name(flip.reference),
                        name(flip.candidate), flip.reference_margin, flip.candidate_margin,
                        shorten(summary.texts[static_cast<size_t>(flip.index)]));
  }
  if (c.flips.size() > kFlipsShown) text += fmt::format("  and {} more\n", c.flips.size() - kFlipsShown);
  return text;
}

std::string gates_text(const EncoderReport& report) {
  Table table({"gate", "rule", "found", ""});
  for (const Gate& gate : report.gates)
    table.add_row({gate.name, gate.rule, gate.found, gate.ok ? "pass" : "FAIL"});
  return fmt::format("\n{}\n{}", report.path, table.to_text());
}

Json figure(double value, int64_t n) {
  return {{"value", value}, {"low", nullptr}, {"high", nullptr}, {"n", n}};
}

Json drift_json(const EmbeddingDrift& d) {
  return {{"cosine_mean", to_json(d.cosine)},
          {"cosine_std", figure(d.cosine_std, d.n)},
          {"cosine_p5", figure(d.cosine_p5, d.n)},
          {"cosine_p1", figure(d.cosine_p1, d.n)},
          {"cosine_min", figure(d.cosine_min, d.n)},
          {"worst_text", d.worst},
          {"relative_l2", figure(d.relative_l2, d.n)},
          {"relative_l1", figure(d.relative_l1, d.n)},
          {"mse", figure(d.mse, d.n)},
          {"mse_normalized", figure(d.mse_normalized, d.n)},
          {"mae", figure(d.mean_absolute, d.n)},
          {"max_abs", figure(d.max_absolute, d.n)},
          {"norm_ratio", figure(d.norm_ratio, d.n)},
          {"not_finite", figure(static_cast<double>(d.candidate_not_finite), d.n)},
          {"unrelated_cosine", figure(d.unrelated_cosine, d.pairs)},
          {"pair_spearman", figure(d.pair_spearman, d.pairs)},
          {"top1_same", figure(d.top1_same, d.n)},
          {"top10_shared", figure(d.neighbour_overlap, d.n)},
          {"band", drift_band(d.cosine.value)}};
}

Json classifier_json(const ClassifierComparison& c) {
  Json json = {{"agreement", to_json(c.agreement)},
               {"kl", to_json(c.kl)},
               {"max_probability_change", figure(c.max_probability_change, c.n)},
               {"flips", Json::array()}};
  for (const LabelFlip& flip : c.flips)
    json["flips"].push_back({{"text", flip.index},
                             {"reference", flip.reference},
                             {"candidate", flip.candidate},
                             {"reference_margin", flip.reference_margin},
                             {"candidate_margin", flip.candidate_margin}});
  if (!c.reference_score) return json;
  json["accuracy_reference"] = to_json(c.reference_score->accuracy);
  json["accuracy"] = to_json(c.candidate_score->accuracy);
  json["macro_f1_reference"] = figure(c.reference_score->macro_f1, c.n);
  json["macro_f1"] = figure(c.candidate_score->macro_f1, c.n);
  json["mcnemar_p"] = figure(c.mcnemar, c.only_reference_right + c.only_candidate_right);
  return json;
}

Json cost_json(const EncoderOutputs& outputs) {
  return {{"weight_bytes", outputs.weight_bytes}, {"resident_weight_bytes", outputs.resident_weight_bytes},
          {"load_s", outputs.load_seconds},       {"tokens", outputs.tokens},
          {"seconds", outputs.seconds},           {"median_s", outputs.median_seconds()}};
}

}  // namespace

std::string encoder_report_text(const EncoderSummary& summary, const std::vector<std::string>& labels) {
  std::string text = fmt::format("reference {} · {} compute\n\n{}\n{}", summary.reference_path,
                                 summary.compute, drift_text(summary), cost_text(summary));
  const std::string scores = similarity_text(summary);
  if (!scores.empty()) text += "\n" + scores;
  for (const EncoderReport& report : summary.candidates)
    if (report.comparison.classifier) text += classifier_text(report, summary, labels);
  for (const EncoderReport& report : summary.candidates) text += gates_text(report);
  return text;
}

Json encoder_report_json(const EncoderSummary& summary) {
  Json results = Json::array();
  for (const EncoderReport& report : summary.candidates) {
    Json metric = drift_json(report.comparison.drift);
    if (report.comparison.classifier) metric["classifier"] = classifier_json(*report.comparison.classifier);
    if (report.similarity) {
      const SimilarityScores& s = *report.similarity;
      metric["spearman_reference"] = to_json(s.reference_spearman);
      metric["spearman"] = to_json(s.candidate_spearman);
      metric["spearman_difference"] = to_json(s.spearman_difference);
      metric["pearson_reference"] = to_json(s.reference_pearson);
      metric["pearson"] = to_json(s.candidate_pearson);
      metric["pearson_difference"] = to_json(s.pearson_difference);
    }
    Json gates = Json::array();
    for (const Gate& gate : report.gates)
      gates.push_back({{"name", gate.name}, {"rule", gate.rule}, {"found", gate.found}, {"ok", gate.ok}});
    results.push_back(
        {{"path", report.path},
         {"metric", metric},
         {"cost", cost_json(report.outputs)},
         {"speed_ratio", report.comparison.speed_ratio},
         {"compression_ratio", report.comparison.weight_ratio},
         {"gates", gates},
         {"settings", {{"compute", summary.compute}, {"interval", "95 %, bootstrap or Wilson"}}}});
  }
  Json document = {{"task", "encoder"}, {"reference", summary.reference_path}};
  document["engine"] = summary.engine ? drift_json(*summary.engine) : Json();
  document["reference_cost"] = cost_json(summary.reference);
  document["results"] = results;
  return document;
}

}  // namespace assay
