#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/report.hpp"
#include "report/report_summary.hpp"
#include "report/report_view.hpp"
#include "report/table.hpp"
#include "text/unicode.hpp"

namespace assay {
namespace {

constexpr size_t kMostFlips = 20;
constexpr size_t kLongestText = 300;

/// Text of any origin on one line in which nothing is markup. The pipe is left to Table.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text::replace_invalid_utf8(text)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += ' ';
    } else {
      if (std::string_view("\\`*_[]#~!$@").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string shortened(std::string_view text) {
  const std::string whole = text::replace_invalid_utf8(text);
  if (whole.size() <= kLongestText) return plain(whole);
  return plain(whole.substr(0, text::complete_utf8_prefix(whole.substr(0, kLongestText)))) + "…";
}

std::string number_cell(const Measurement& m) {
  return format_number(m).line() + " (n = " + format_whole(m.n) + ")";
}

std::string heading(const std::string& title) {
  return "\n## " + title + "\n\n";
}

std::string draw_summary(const Report& report) {
  std::string out;
  for (const SummaryLine& line : summarize(report)) {
    out += "\n**" + line.question + "**\n\n";
    for (const Sentence& sentence : line.answers) {
      out += "- ";
      for (const SentencePart& part : sentence) {
        if (part.kind == SentencePart::Kind::kSubject) out += "**" + plain(part.text) + "**";
        if (part.kind == SentencePart::Kind::kWords) out += plain(part.text);
        if (part.kind == SentencePart::Kind::kNumber)
          out += plain(format_number(report.measurements[part.measurement]).line());
      }
      out += "\n";
    }
  }
  return out;
}

std::string draw_advice(const Report& report) {
  if (report.advice.empty()) return "";
  std::string out = heading("Advice");
  for (const Advice& advice : report.advice) {
    out += "- " + plain(advice.text);
    for (const size_t index : advice.measurements) {
      if (index >= report.measurements.size()) continue;
      const Measurement& m = report.measurements[index];
      out += "\n  - rests on " + plain(m.subject) + ", " + plain(metric_fact(m.task, m.metric).title) + ": " +
             plain(number_cell(m));
    }
    out += "\n";
  }
  return out;
}

std::string draw_subjects(const Report& report) {
  Table table({"", "bytes", "size", "bits/weight", "verdict", "file"});
  for (const Subject& s : report.subjects)
    table.add_row(
        {plain(s.label) + (s.label == report.reference ? " (reference)" : ""),
         has_size(s) ? format_whole(static_cast<int64_t>(std::min<uint64_t>(s.bytes, INT64_MAX))) : "-",
         has_size(s) ? format_size(static_cast<double>(s.bytes)) : "-",
         has_size(s) && std::isfinite(s.bits_per_weight) ? fmt::format("{:.3f}", s.bits_per_weight) : "-",
         plain(describe_verdict(s)), plain(s.path)});
  return heading("The files") + table.to_markdown();
}

std::string draw_comparisons(const Report& report) {
  if (report.comparisons.empty()) return "";
  Table table({"metric", "first", "second", "second − first [95 %]", "n", "p", "p (Holm)", "better"});
  for (const PairedComparison& c : report.comparisons) {
    const auto winner = winner_of(c);
    table.add_row({plain(metric_fact(c.task, c.metric).title), plain(c.first), plain(c.second),
                   plain(format_difference(c.difference, c.unit).line()), format_whole(c.difference.n),
                   c.p ? plain(format_p(*c.p)) : "-", c.p_holm ? plain(format_p(*c.p_holm)) : "-",
                   winner ? "**" + plain(*winner) + "**" : describe_no_difference(c)});
  }
  return heading("Pairs on the same items") +
         "A name stands in the last column only where the interval of the difference excludes 0.\n\n" +
         table.to_markdown();
}

std::string draw_table(const Report& report, const MetricTable& metrics) {
  std::vector<std::string> header = {""};
  for (const std::string& condition : metrics.conditions) header.push_back(plain(condition));
  for (const MetricTable::Column& column : metrics.columns)
    header.push_back(plain(metric_fact(metrics.task, column.metric).title));
  Table table(header);
  for (const MetricTable::Row& row : metrics.rows) {
    std::vector<std::string> cells = {plain(row.subject)};
    for (const std::string& condition : row.conditions) cells.push_back(plain(condition));
    for (const auto& cell : row.cells)
      cells.push_back(cell ? plain(number_cell(report.measurements[*cell])) : "-");
    table.add_row(std::move(cells));
  }
  return (metrics.title.empty() ? "" : "\n" + metrics.title + "\n\n") + table.to_markdown();
}

std::string draw_tasks(const Report& report) {
  std::string out;
  for (const std::string& task : tasks_of(report)) {
    out += heading(plain(task_title(task)));
    if (const std::string meaning = task_meaning(task); !meaning.empty()) out += plain(meaning) + "\n\n";
    for (const MetricTable& table : metric_tables(report, task)) out += draw_table(report, table);
  }
  return out;
}

std::string draw_matrices(const Report& report) {
  if (report.matrices.empty()) return "";
  std::string out = heading("Confusion matrices");
  for (const ConfusionMatrix& matrix : report.matrices) {
    out += "\n" + plain(matrix.subject) + (matrix.dataset.empty() ? "" : ", " + plain(matrix.dataset)) +
           " (rows: truth, columns: answer)\n\n";
    std::vector<std::string> header = {"truth"};
    for (const std::string& label : matrix.labels) header.push_back(plain(label));
    if (!matrix.unparsed.empty()) header.emplace_back("unreadable");
    Table table(header);
    for (size_t i = 0; i < std::min(matrix.labels.size(), matrix.counts.size()); ++i) {
      std::vector<std::string> cells = {plain(matrix.labels[i])};
      for (const int64_t count : matrix.counts[i]) cells.push_back(format_whole(count));
      cells.resize(matrix.labels.size() + 1);
      if (i < matrix.unparsed.size()) cells.push_back(format_whole(matrix.unparsed[i]));
      table.add_row(std::move(cells));
    }
    out += table.to_markdown();
  }
  return out;
}

std::string draw_flips(const Report& report) {
  if (report.flips.empty()) return "";
  Table table({"", "row", "truth", "reference → candidate", "text"});
  for (size_t i = 0; i < std::min(report.flips.size(), kMostFlips); ++i) {
    const Flip& flip = report.flips[i];
    table.add_row({plain(flip.subject), plain(flip.dataset + " " + flip.id), plain(flip.truth),
                   plain(flip.reference) + " → " + plain(flip.candidate), shortened(flip.text)});
  }
  std::string out = heading("Answers that changed") + table.to_markdown();
  if (report.flips.size() > kMostFlips)
    out += fmt::format("\n{} of {}; all of them are in report.json.\n", kMostFlips, report.flips.size());
  return out;
}

std::string draw_answers(const Report& report) {
  if (report.answers.empty()) return "";
  Table table({"prompt", "", "answer", "tokens", "flags"});
  for (const SampleAnswer& answer : report.answers) {
    std::string flags;
    for (const std::string& flag : answer.flags) flags += (flags.empty() ? "" : ", ") + flag;
    table.add_row({shortened(answer.prompt), plain(answer.subject), shortened(answer.text),
                   format_whole(answer.tokens), plain(flags)});
  }
  return heading("Answers side by side") + table.to_markdown();
}

std::string draw_notes(const Report& report) {
  if (report.notes.empty()) return "";
  std::string out = heading("Not measured");
  for (const std::string& note : report.notes) out += "- " + plain(note) + "\n";
  return out;
}

std::string draw_ledger(const Report& report) {
  if (report.measurements.empty()) return "";
  Table table({"subject", "task", "metric", "value [95 %]", "n", "settings", "file sha256"});
  for (const Measurement& m : report.measurements)
    table.add_row({plain(m.subject), plain(m.task), plain(m.metric), plain(format_number(m).line()),
                   format_whole(m.n) + " " + plain(m.n_unit), plain(format_settings(m.settings)),
                   plain(m.file_sha256)});
  return heading("Every number and what it rests on") + table.to_markdown();
}

}  // namespace

std::string to_markdown(const Report& report) {
  std::string out =
      "# " + plain(report.title) + "\n\n" + plain(report.created) + ", assay " + plain(report.tool_version);
  if (const std::string machine = format_settings(report.machine); !machine.empty())
    out += ", " + plain(machine);
  out += "\n" + draw_summary(report) + draw_advice(report) + draw_subjects(report) +
         draw_comparisons(report) + draw_tasks(report) + draw_matrices(report) + draw_flips(report) +
         draw_answers(report) + draw_notes(report) + draw_ledger(report);
  return out;
}

}  // namespace assay
