#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/memory.hpp"
#include "report/charts.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/page_parts.hpp"
#include "report/page_sections.hpp"
#include "report/report_view.hpp"

namespace assay {
namespace {

constexpr size_t kMostFlips = 100;   // of one subject and task; report.json holds all
constexpr size_t kMostTensors = 50;  // the worst of one subject
constexpr size_t kAnswerFold = 700;  // bytes of an answer that stand open

/// Whether the change was for the worse.
std::string direction_of(const Flip& flip) {
  if (flip.truth.empty()) return "";
  const bool before = flip.reference == flip.truth, after = flip.candidate == flip.truth;
  if (before && !after) return "right → wrong";
  if (!before && after) return "wrong → right";
  return before ? "" : "wrong → wrong";
}

void add_flip(Markup& out, const Flip& flip) {
  const auto item = out.in("article", {{"class", "flip"}});
  {
    const auto what = out.in("p", {{"class", "what"}});
    const std::string direction = direction_of(flip);
    if (!direction.empty())
      out.leaf("span", direction, {{"class", direction.starts_with("right") ? "badge bad" : "badge"}});
    {
      const auto change = out.in("span");
      out.leaf("bdi", flip.reference).text(" → ").leaf("bdi", flip.candidate);
      if (!flip.truth.empty()) out.text(", truth ").leaf("bdi", flip.truth);
    }
    std::string rest = flip.dataset + (flip.dataset.empty() ? "" : " ") + flip.id;
    if (flip.reference_margin && flip.candidate_margin)
      rest += fmt::format("; margin {} → {}", format_number(*flip.reference_margin, {}, {}, "").value,
                          format_number(*flip.candidate_margin, {}, {}, "").value);
    out.leaf("span", rest, {{"class", "muted"}});
  }
  add_text(out, flip.text);
}

void add_worst_tensors(Markup& out, const Subject& subject) {
  std::vector<const TensorFact*> tensors;
  for (const TensorFact& tensor : subject.tensors) tensors.push_back(&tensor);
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorFact* a, const TensorFact* b) {
    return a->relative_error.value_or(-1) > b->relative_error.value_or(-1);
  });
  const size_t all = tensors.size();
  tensors.resize(std::min(all, kMostTensors));
  const auto fold = out.in("details", {{"class", "more"}});
  out.leaf("summary", fmt::format("The tensors of {}", subject.label));
  const std::string caption =
      all > tensors.size() ? fmt::format("The {} of {} tensors with the largest errors", tensors.size(), all)
                           : "Every tensor, the largest error first";
  add_table(out, subject.label + ": " + caption,
            {{.title = "tensor", .numeric = false},
             {.title = "role", .numeric = false},
             {.title = "format", .numeric = false},
             {.title = "bits/weight"},
             {.title = "bytes"},
             {.title = "relative error", .hint = "‖w − ŵ‖ / ‖w‖"}},
            [&] {
              for (const TensorFact* tensor : tensors) {
                const auto row = out.in("tr");
                out.leaf("td", tensor->name, {{"class", "long hash"}});
                add_cell(out, tensor->role);
                add_cell(out, tensor->format);
                add_cell(out, fmt::format("{:.3f}", tensor->bits_per_weight), "", "n");
                add_cell(out, format_count(tensor->bytes), std::to_string(tensor->bytes), "n");
                const auto error = tensor->relative_error;
                add_cell(out, error ? format_number(*error, {}, {}, "").value : "–",
                         error ? sort_key(*error) : "", error ? "n" : "n none");
              }
            });
}

void add_answer(Markup& out, const Report& report, const SampleAnswer& answer) {
  const auto card = out.in("article", {{"class", "answer"}});
  {
    const auto what = out.in("p", {{"class", "what"}});
    add_subject(out, report, answer.subject);
    std::string end = format_whole(answer.tokens) + (answer.tokens == 1 ? " token" : " tokens");
    if (!answer.finish_reason.empty()) end += ", ended by " + answer.finish_reason;
    out.leaf("span", end, {{"class", "muted"}});
    for (const std::string& flag : answer.flags) out.leaf("span", flag, {{"class", "badge bad"}});
  }
  if (answer.text.empty()) {
    out.leaf("p", "(nothing)", {{"class", "muted"}});
  } else {
    add_text(out, answer.text, kAnswerFold);
  }
}

void add_ledger_row(Markup& out, const Report& report, size_t index) {
  const Measurement& m = report.measurements[index];
  const NumberText number = format_number(m);
  const auto row = out.in("tr", {{"id", number_id(index)}});
  {
    const auto cell = out.in("td", {{"data-sort", m.subject}});
    add_subject(out, report, m.subject);
  }
  add_cell(out, metric_fact(m.task, m.metric).title);
  {
    const auto cell = out.in("td", {{"class", "n"}, {"data-sort", sort_key(m.value)}});
    out.leaf("span", number.value + (number.unit.empty() ? "" : " " + number.unit), {{"class", "value"}});
    out.text(" ").leaf("span", number.interval.empty() ? "no interval" : number.interval, {{"class", "ci"}});
  }
  add_cell(out, format_whole(m.n) + (m.n_unit.empty() ? "" : " " + m.n_unit), std::to_string(m.n), "n");
  out.leaf("td", format_settings(m.settings), {{"class", "long"}});
  out.leaf("td", m.file_sha256.empty() ? "–" : m.file_sha256,
           {{"class", m.file_sha256.empty() ? "none" : "long hash"}});
}

const std::vector<TableHead>& ledger_heads() {
  static const std::vector<TableHead> heads = {{.title = "file", .numeric = false},
                                               {.title = "metric", .numeric = false},
                                               {.title = "value"},
                                               {.title = "n"},
                                               {.title = "settings", .numeric = false},
                                               {.title = "sha256 of the weights", .numeric = false}};
  return heads;
}

void add_pair_ledger(Markup& out, const Report& report) {
  if (report.comparisons.empty()) return;
  const auto fold = out.in("details", {{"class", "more"}});
  out.leaf("summary", fmt::format("Paired differences ({})", report.comparisons.size()));
  add_table(out, "Paired differences", ledger_heads(), [&] {
    for (size_t i = 0; i < report.comparisons.size(); ++i) {
      const PairedComparison& pair = report.comparisons[i];
      const auto row = out.in("tr", {{"id", "c" + std::to_string(i)}});
      add_cell(out, pair.second + " − " + pair.first);
      add_cell(out, metric_fact(pair.task, pair.metric).title);
      add_cell(out, format_difference(pair.difference, pair.unit).line(), sort_key(pair.difference.value),
               "n");
      add_cell(out, format_whole(pair.difference.n), std::to_string(pair.difference.n), "n");
      out.leaf("td", format_settings(pair.settings), {{"class", "long"}});
      const Subject* second = find_subject(report, pair.second);
      const Subject* first = find_subject(report, pair.first);
      out.leaf("td",
               (second != nullptr ? second->sha256 : "") + " " + (first != nullptr ? first->sha256 : ""),
               {{"class", "long hash"}});
    }
  });
}

}  // namespace

void add_flips(Markup& out, const Report& report) {
  std::vector<std::pair<const Flip*, std::vector<const Flip*>>> groups;
  for (const Flip& flip : report.flips) {
    auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& g) {
      return g.first->subject == flip.subject && g.first->task == flip.task;
    });
    if (found == groups.end()) found = groups.insert(groups.end(), {&flip, {}});
    found->second.push_back(&flip);
  }
  if (groups.empty()) return;
  out.leaf("p",
           "Rows on which a candidate answers otherwise than the reference. Two files with the same score "
           "can still "
           "disagree on many rows.");
  for (const auto& [head, flips] : groups) {
    {
      const auto title = out.in("h3");
      add_subject(out, report, head->subject);
      out.text(", " + head->task + ": " + format_whole(static_cast<int64_t>(flips.size())) +
               (flips.size() == 1 ? " row" : " rows"));
    }
    constexpr size_t kOpen = 5;
    for (size_t i = 0; i < std::min(flips.size(), kOpen); ++i) add_flip(out, *flips[i]);
    if (flips.size() <= kOpen) continue;
    const auto fold = out.in("details", {{"class", "more"}});
    const size_t shown = std::min(flips.size(), kMostFlips);
    out.leaf("summary", fmt::format("{} more", shown - kOpen));
    for (size_t i = kOpen; i < shown; ++i) add_flip(out, *flips[i]);
    if (shown < flips.size())
      out.leaf("p", fmt::format("{} further rows are in report.json.", flips.size() - shown),
               {{"class", "muted"}});
  }
}

void add_tensors(Markup& out, const Report& report) {
  const auto range = tensor_error_range(report);
  if (!range) return;
  out.leaf("p",
           "Every tensor's distance from the reference's, ‖w − ŵ‖ / ‖w‖: a row for each role, a cell for "
           "each layer, "
           "darker where more was lost. All maps share one scale.");
  for (size_t i = 0; i < report.subjects.size(); ++i) {
    const Subject& subject = report.subjects[i];
    const bool any = std::any_of(subject.tensors.begin(), subject.tensors.end(),
                                 [](const TensorFact& t) { return t.relative_error.value_or(0.0) > 0.0; });
    if (!any) continue;
    add_figure(out, fmt::format("chart-tensors-{}", i), subject.label, "",
               [&](double width, const std::string& id, const std::string& css) {
                 return draw_tensor_map(report, subject, *range, width, id, css);
               });
    add_worst_tensors(out, subject);
    add_basis(out, fmt::format("What {}'s errors rest on", subject.label),
              {.n = "every weight of every tensor",
               .interval = "none: all weights were counted",
               .settings = {{"against", report.reference}, {"recipe", subject.recipe}},
               .file_sha256 = subject.sha256});
  }
}

void add_answers(Markup& out, const Report& report) {
  std::vector<const SampleAnswer*> prompts;
  for (const SampleAnswer& answer : report.answers) {
    const bool known = std::any_of(prompts.begin(), prompts.end(),
                                   [&](const SampleAnswer* p) { return p->prompt == answer.prompt; });
    if (!known) prompts.push_back(&answer);
  }
  for (const SampleAnswer* prompt : prompts) {
    {
      const auto question = out.in("div", {{"class", "prompt"}});
      if (!prompt->category.empty()) out.leaf("span", prompt->category, {{"class", "badge"}});
      add_text(out, prompt->prompt, kAnswerFold);
    }
    const auto row = out.in("div", {{"class", "answers"}});
    for (const SampleAnswer& answer : report.answers)
      if (answer.prompt == prompt->prompt) add_answer(out, report, answer);
  }
}

void add_notes(Markup& out, const Report& report) {
  if (report.notes.empty()) return;
  const auto list = out.in("ul");
  for (const std::string& note : report.notes) out.leaf("li", note);
}

void add_files(Markup& out, const Report& report) {
  if (report.subjects.empty()) return;
  add_table(
      out, "What was measured",
      {{.title = "file", .numeric = false},
       {.title = "kind", .numeric = false},
       {.title = "recipe", .numeric = false},
       {.title = "bits asked for"},
       {.title = "bits/weight"},
       {.title = "bytes"},
       {.title = "parameters"},
       {.title = "path or address", .numeric = false},
       {.title = "sha256 of the weights", .numeric = false}},
      [&] {
        for (const Subject& s : report.subjects) {
          const auto row = out.in("tr");
          {
            const auto cell = out.in("td", {{"data-sort", s.label}});
            add_subject(out, report, s.label);
          }
          add_cell(out, s.kind);
          add_cell(out, s.recipe.empty() ? "–" : s.recipe, "", s.recipe.empty() ? "none" : "");
          add_cell(out, s.requested_bits ? format_number(*s.requested_bits, {}, {}, "").value : "–", "", "n");
          const bool sized = has_size(s);
          add_cell(out,
                   sized && std::isfinite(s.bits_per_weight) ? fmt::format("{:.4f}", s.bits_per_weight) : "–",
                   "", "n");
          add_cell(out, sized ? format_count(s.bytes) : "–", sized ? std::to_string(s.bytes) : "", "n");
          add_cell(out, s.parameters > 0 ? format_count(s.parameters) : "–",
                   s.parameters > 0 ? std::to_string(s.parameters) : "", "n");
          out.leaf("td", s.path, {{"class", "long"}});
          out.leaf("td", s.sha256.empty() ? "–" : s.sha256, {{"class", "long hash"}});
        }
      });
}

void add_ledger(Markup& out, const Report& report) {
  if (report.measurements.empty()) return;
  out.leaf(
      "p",
      "The value, its 95 % interval, the independent units behind it, the settings that change it, and the "
      "hash of the file it was measured on. “no interval”: not a sample, or too few units.");
  for (const std::string& task : tasks_of(report)) {
    const auto count = std::count_if(report.measurements.begin(), report.measurements.end(),
                                     [&](const Measurement& m) { return m.task == task; });
    const auto fold = out.in("details", {{"class", "more"}});
    out.leaf("summary", fmt::format("{} ({})", task_title(task), count));
    add_table(out, task_title(task), ledger_heads(), [&] {
      for (size_t i = 0; i < report.measurements.size(); ++i)
        if (report.measurements[i].task == task) add_ledger_row(out, report, i);
    });
  }
  add_pair_ledger(out, report);
}

}  // namespace assay
