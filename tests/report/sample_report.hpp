#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "report/report.hpp"

namespace assay::test {

/// A report that fills every section. All of its values are invented: it shows a layout, not a result.
class SampleReport {
 public:
  static Report make() {
    SampleReport sample;
    sample.add_subjects();
    sample.add_divergence();
    sample.add_series();
    sample.add_guard();
    sample.add_judge();
    sample.add_speed();
    sample.add_comparisons();
    sample.add_texts();
    sample.add_advice();
    return std::move(sample.report_);
  }

 private:
  struct Candidate {
    const char *label, *recipe, *verdict;
    double bits, kl, top1, f1, decode;
  };
  static const std::vector<Candidate>& candidates() {
    static const std::vector<Candidate> all = {
        {"mlx:8bit", "mlx:8bit", "quantized", 8.503, 0.000041, 0.9946, 0.842, 41},
        {"mlx:4bit", "mlx:4bit", "quantized", 4.505, 0.0219, 0.9254, 0.801, 69},
        {"gguf:Q8_0", "gguf:Q8_0", "quantized", 8.511, 0.0000213, 0.9968, 0.843, 44},
        {"gguf:Q4_K_M", "gguf:Q4_K_M", "quantized", 5.018, 0.0098, 0.9600, 0.829, 63},
        {"theirs-q4.safetensors", "", "fake", 16.0, 0.0000002, 0.9999, 0.843, 22}};
    return all;
  }

  static std::string hash(size_t seed) {
    std::string digits;
    for (size_t i = 0; i < 64; ++i) digits += "0123456789abcdef"[(seed * 7 + i * i * 3 + i) % 16];
    return digits;
  }

  void add_subjects() {
    report_.title = "Sample: what quantization cost a model that does not exist";
    report_.created = "2026-01-31T12:00:00Z";
    report_.tool_version = "0.1.0";
    report_.machine = {
        {"cpu", "an invented processor"}, {"isa", "avx2"}, {"threads", 8}, {"read_gb_s", 38.4}};
    report_.reference = "source";
    report_.subjects.push_back({.label = "source",
                                .kind = "reference",
                                .path = "models/sample-1.2B",
                                .sha256 = hash(0),
                                .recipe = "",
                                .bytes = 2'471'645'608,
                                .parameters = 1'235'814'400,
                                .bits_per_weight = 16.0,
                                .verdict = "unquantized"});
    for (const Candidate& c : candidates()) {
      const bool own = *c.recipe != '\0';
      report_.subjects.push_back(
          {.label = c.label,
           .kind = own ? "recipe" : "file",
           .path = own ? "out/" + std::string(c.label).substr(std::string(c.label).find(':') + 1)
                       : "downloads/" + std::string(c.label),
           .sha256 = hash(report_.subjects.size()),
           .recipe = c.recipe,
           .bytes = static_cast<uint64_t>(1'235'814'400 * c.bits / 8) + 41'216,
           .parameters = 1'235'814'400,
           .requested_bits = own ? std::optional(c.bits > 6 ? 8.0 : 4.0) : std::nullopt,
           .bits_per_weight = c.bits,
           .verdict = c.verdict,
           .proven = own ? std::optional(true) : std::nullopt,
           .tensors = make_tensors(c)});
    }
    report_.subjects.push_back({.label = "remote",
                                .kind = "endpoint",
                                .path = "https://models.example/v1",
                                .sha256 = "",
                                .recipe = ""});
  }

  static std::vector<TensorFact> make_tensors(const Candidate& c) {
    std::vector<TensorFact> tensors;
    const double step = c.bits > 15 ? 0.0 : 1.15 * std::pow(2.0, -(c.bits - 0.5));
    const auto add = [&](const std::string& name, const char* role, double factor) {
      tensors.push_back({.name = name,
                         .role = role,
                         .format = c.bits > 15 ? "BF16" : c.recipe,
                         .bytes = static_cast<uint64_t>(4'194'304 * c.bits / 8),
                         .bits_per_weight = c.bits,
                         .relative_error = step * factor});
    };
    add("model.embed_tokens.weight", "embedding", 1.1);
    const std::pair<const char*, const char*> roles[] = {
        {"attention_q", "self_attn.q_proj"}, {"attention_k", "self_attn.k_proj"},
        {"attention_v", "self_attn.v_proj"}, {"attention_output", "self_attn.o_proj"},
        {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"}};
    for (int layer = 0; layer < 16; ++layer) {
      for (size_t r = 0; r < std::size(roles); ++r) {
        const double wave =
            1.0 + 0.35 * std::sin(0.7 * layer + static_cast<double>(r)) + (layer < 2 ? 0.5 : 0.0);
        const bool mixed = c.recipe == std::string("gguf:Q4_K_M") && (r == 2 || r == 6) && layer % 3 == 0;
        add("model.layers." + std::to_string(layer) + "." + roles[r].second + ".weight", roles[r].first,
            wave * (mixed ? 0.25 : 1.0));
      }
    }
    tensors.push_back({.name = "model.norm.weight",
                       .role = "norm",
                       .format = "F32",
                       .bytes = 8192,
                       .bits_per_weight = 32.0,
                       .relative_error = 0.0});
    return tensors;
  }

  std::string hash_of(const std::string& label) const {
    for (const Subject& subject : report_.subjects)
      if (subject.label == label) return subject.sha256;
    return "";
  }

  size_t add(const std::string& subject, const char* task, const char* metric, const char* unit, double value,
             double spread, int64_t n, const char* n_unit, nlohmann::ordered_json settings) {
    Measurement made{.subject = subject,
                     .task = task,
                     .metric = metric,
                     .unit = unit,
                     .value = value,
                     .n = n,
                     .n_unit = n_unit,
                     .settings = std::move(settings),
                     .file_sha256 = hash_of(subject)};
    if (spread > 0) made.low = value - spread, made.high = value + spread;
    report_.measurements.push_back(std::move(made));
    return report_.measurements.size() - 1;
  }

  void add_divergence() {
    for (const char* compute : {"exact", "fast"}) {
      for (const Candidate& c : candidates()) {
        const nlohmann::ordered_json settings = {
            {"compute", compute}, {"corpus", "sample-heldout.txt"}, {"context", 512}, {"seed", 0}};
        const double kl = c.kl + (compute == std::string("fast") ? 0.00006 : 0.0);
        const auto put = [&](const char* metric, const char* unit, double value, double spread) {
          add(c.label, "divergence", metric, unit, value, spread, 212, "documents", settings);
        };
        put("kl_mean", "nats/token", kl, kl * 0.06);
        put("kl_median", "nats/token", kl * 0.21, 0);
        put("kl_p90", "nats/token", kl * 2.6, 0);
        put("kl_p99", "nats/token", kl * 9.3, 0);
        put("kl_p99.9", "nats/token", kl * 31, 0);
        put("kl_max", "nats/token", kl * 118, 0);
        put("top1_agreement", "share", c.top1 - (kl - c.kl) * 9, 0.0021);
        put("top5_agreement", "share", 1 - (1 - c.top1) * 0.8, 0.0018);
        put("ln_ppl_ratio", "nats", kl * 0.55, kl * 0.09);
        put("delta_p_rms", "share", std::sqrt(kl) * 0.28, 0);
      }
    }
  }

  void add_series() {
    for (const Candidate& c : candidates()) {
      if (c.kl < 1e-6) continue;
      Series by_position{.subject = c.label,
                         .task = "divergence",
                         .metric = "kl_mean",
                         .x_name = "position in the window",
                         .unit = "nats/token",
                         .points = {}};
      for (int i = 0; i < 16; ++i) {
        const double y = c.kl * (1.0 + 1.6 * std::exp(-i / 2.5)) * (1 + 0.06 * std::sin(1.7 * i + c.bits));
        by_position.points.push_back(
            {.x = 16.0 + 32 * i, .y = y, .low = y * 0.88, .high = y * 1.13, .n = 212, .label = ""});
      }
      Series by_confidence{.subject = c.label,
                           .task = "divergence",
                           .metric = "kl_mean",
                           .x_name = "reference's probability of its first choice",
                           .unit = "nats/token",
                           .points = {}};
      const char* buckets[] = {"below 0.3", "0.3–0.5", "0.5–0.7", "0.7–0.9", "above 0.9"};
      for (size_t i = 0; i < std::size(buckets); ++i) {
        const double y = c.kl * std::exp(0.9 - 0.95 * static_cast<double>(i));
        by_confidence.points.push_back({.x = static_cast<double>(i),
                                        .y = y,
                                        .low = y * 0.9,
                                        .high = y * 1.12,
                                        .n = 9000 + 1000 * static_cast<int64_t>(i),
                                        .label = buckets[i]});
      }
      for (Series* series : {&by_position, &by_confidence}) {
        series->n_unit = "tokens";
        series->settings = {{"compute", "exact"}, {"corpus", "sample-heldout.txt"}, {"context", 512}};
        series->file_sha256 = hash_of(c.label);
      }
      report_.series.push_back(std::move(by_position));
      report_.series.push_back(std::move(by_confidence));
    }
  }

  void add_guard() {
    const auto put = [&](const std::string& label, double f1) {
      const nlohmann::ordered_json settings = {
          {"dataset", "sample-guard"}, {"convention", "counts once"}, {"max_tokens", 2048}};
      const auto number = [&](const char* metric, double value, double spread) {
        add(label, "guard", metric, "share", value, spread, 800, "rows", settings);
      };
      number("f1", f1, 0.027);
      number("accuracy", f1 + 0.021, 0.024);
      number("precision", f1 + 0.031, 0.031);
      number("recall", f1 - 0.029, 0.033);
      number("fpr", 0.94 - f1, 0.022);
      number("unparsed_share", 0.004 + (0.843 - f1) * 0.3, 0.004);
      const auto wrong = static_cast<int64_t>((1 - f1) * 400);
      report_.matrices.push_back({.subject = label,
                                  .task = "guard",
                                  .dataset = "sample-guard",
                                  .labels = {"harmful", "unharmful"},
                                  .counts = {{400 - wrong - 2, wrong}, {wrong - 9, 400 - wrong + 8}},
                                  .unparsed = {2, 1},
                                  .settings = settings,
                                  .file_sha256 = hash_of(label)});
    };
    put("source", 0.843);
    for (const Candidate& c : candidates()) put(c.label, c.f1);
  }

  void add_judge() {
    for (const Candidate& c : candidates()) {
      if (*c.recipe == '\0') continue;
      add(c.label, "judge", "win_rate", "share", 0.5 - c.kl * 4, 0.058, 120, "prompts",
          {{"judge", "sample-judge-1"}, {"orders", 2}, {"repeats", 3}, {"temperature", 0}});
    }
  }

  void add_speed() {
    const auto put = [&](const std::string& label, double decode, double bits) {
      const nlohmann::ordered_json settings = {
          {"compute", "fast"}, {"prefill_tokens", 128}, {"decode_tokens", 64}, {"threads", 8}};
      add(label, "speed", "decode", "tok/s", decode, decode * 0.03, 5, "rounds", settings);
      add(label, "speed", "prefill", "tok/s", 240 + decode, 11, 5, "rounds", settings);
      add(label, "memory", "peak_rss", "bytes", 1.2358e9 * bits / 8 + 9.1e7, 0, 5, "rounds", settings);
    };
    put("source", 21.7, 16);
    for (const Candidate& c : candidates()) put(c.label, c.decode, c.bits);
  }

  void add_comparisons() {
    const std::vector<Candidate>& all = candidates();
    for (size_t i = 0; i + 1 < all.size(); ++i) {
      for (size_t j = i + 1; j + 1 < all.size(); ++j) {
        const double kl = all[j].kl - all[i].kl, f1 = all[j].f1 - all[i].f1;
        report_.comparisons.push_back({.task = "divergence",
                                       .metric = "kl_mean",
                                       .unit = "nats/token",
                                       .first = all[i].label,
                                       .second = all[j].label,
                                       .difference = {kl, kl - 0.0009, kl + 0.0009, 212},
                                       .higher_is_better = false,
                                       .p = std::abs(kl) > 0.0009 ? 0.0005 : 0.87,
                                       .p_holm = std::abs(kl) > 0.0009 ? 0.006 : 1.0,
                                       .settings = {{"test", "paired bootstrap"}, {"seed", 0}}});
        report_.comparisons.push_back({.task = "guard",
                                       .metric = "f1",
                                       .unit = "share",
                                       .first = all[i].label,
                                       .second = all[j].label,
                                       .difference = {f1, f1 - 0.0205, f1 + 0.0205, 800},
                                       .p = std::abs(f1) > 0.0205 ? 0.021 : 0.38,
                                       .p_holm = std::abs(f1) > 0.0205 ? 0.11 : 1.0,
                                       .settings = {{"test", "exact McNemar"}, {"dataset", "sample-guard"}}});
        if (std::abs(f1) < 0.0205)
          report_.comparisons.back().n_needed = static_cast<int64_t>(0.31 / (f1 * f1 + 1e-6));
      }
    }
  }

  void add_texts() {
    const std::string rule = "Write a polite note to a neighbour whose music is too loud. ";
    for (int i = 0; i < 9; ++i)
      report_.flips.push_back({.subject = "mlx:4bit",
                               .task = "guard",
                               .dataset = "sample-guard",
                               .id = std::to_string(100 + 7 * i),
                               .text = i % 3 == 0 ? rule + rule + rule + rule + rule + rule : rule,
                               .truth = i % 4 == 1 ? "harmful" : "unharmful",
                               .reference = "unharmful",
                               .candidate = i % 5 == 4 ? "unparsed" : "harmful",
                               .reference_margin = 1.4 - 0.1 * i,
                               .candidate_margin = -0.2 - 0.05 * i});
    report_.flips.push_back({.subject = "gguf:Q4_K_M",
                             .task = "guard",
                             .dataset = "sample-guard",
                             .id = "163",
                             .text = rule,
                             .truth = "unharmful",
                             .reference = "unharmful",
                             .candidate = "harmful"});
    const char* prompts[] = {"Explain in two sentences why the sky is blue.", "Name three primes above 100."};
    for (const char* prompt : prompts) {
      for (const char* subject : {"source", "mlx:8bit", "mlx:4bit", "gguf:Q4_K_M"}) {
        const bool weak = subject == std::string("mlx:4bit");
        report_.answers.push_back(
            {.subject = subject,
             .prompt = prompt,
             .category = prompt == prompts[0] ? "factual" : "code",
             .text =
                 weak ? "The sky is blue because the sky is blue because the sky is blue because the sky is"
                      : "An invented answer: short waves of sunlight are scattered more than long "
                        "ones.\n\nSo blue "
                        "reaches us from every direction.",
             .finish_reason = weak ? "length" : "stop",
             .flags = weak ? std::vector<std::string>{"truncated", "repetitive"} : std::vector<std::string>{},
             .tokens = weak ? 300 : 31});
      }
    }
  }

  size_t find(const std::string& subject, const std::string& metric) const {
    for (size_t i = 0; i < report_.measurements.size(); ++i)
      if (report_.measurements[i].subject == subject && report_.measurements[i].metric == metric) return i;
    return 0;
  }

  void add_advice() {
    report_.advice.push_back({.text =
                                  "Where half the reference's size is small enough, take gguf:Q8_0: no other "
                                  "quantized file here lies closer.",
                              .measurements = {find("gguf:Q8_0", "kl_mean"), find("gguf:Q8_0", "f1")}});
    report_.advice.push_back(
        {.text = "Where memory decides, gguf:Q4_K_M keeps more than mlx:4bit for a tenth more bytes.",
         .measurements = {find("gguf:Q4_K_M", "kl_mean"), find("mlx:4bit", "kl_mean")}});
    report_.notes.push_back("All values on this page are invented; they show the layout of a report.");
    report_.notes.push_back("remote: divergence needs logits, which an endpoint does not give.");
    report_.notes.push_back("Memory of accelerators was not measured.");
  }

  Report report_{};
};

inline Report sample_report() {
  return SampleReport::make();
}

}  // namespace assay::test
