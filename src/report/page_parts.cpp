#include "report/page_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/report_view.hpp"
#include "text/unicode.hpp"

namespace assay {
namespace {

constexpr size_t kPalette = 8;
/// A single text on the page; report.json holds all of it.
constexpr size_t kLongestText = 20'000;

/// The beginning of `text` in at most `bytes` bytes of whole characters.
std::string_view beginning(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  return text.substr(0, text::complete_utf8_prefix(text.substr(0, bytes)));
}

}  // namespace

std::string subject_class(const Report& report, std::string_view label) {
  if (label == report.reference) return "ref";
  const auto index = candidate_index(report, label);
  return index ? "s" + std::to_string(*index % kPalette) : "other";
}

Mark subject_mark(const Report& report, std::string_view label) {
  if (label == report.reference) return Mark::kCircle;
  // A second round of the palette meets other marks.
  const size_t index = candidate_index(report, label).value_or(0);
  return static_cast<Mark>((index + index / kPalette) % kPalette);
}

void add_subject(Markup& out, const Report& report, const std::string& label) {
  const auto name = out.in("span", {{"class", "subject " + subject_class(report, label)}});
  {
    const auto chip = out.in("svg", {{"class", "chip"}, {"viewBox", "0 0 12 12"}, {"aria-hidden", "true"}});
    out.empty("path", {{"d", mark_path(subject_mark(report, label), 6, 6, 4.4)}, {"class", "mark"}}, true);
  }
  out.leaf("bdi", label);
}

void add_number(Markup& out, const Report& report, size_t measurement, NumberStyle style) {
  const Measurement& m = report.measurements[measurement];
  const NumberText number = format_number(m);
  const std::string basis = m.subject + ", " + metric_fact(m.task, m.metric).title + "\n" + describe_basis(m);
  const auto link = out.in("a", {{"class", "num"}, {"href", "#" + number_id(measurement)}, {"title", basis}});
  const bool with_unit = style != NumberStyle::kInColumn && !number.unit.empty();
  out.leaf("span", number.value + (with_unit ? " " + number.unit : ""), {{"class", "value"}});
  if (style == NumberStyle::kBrief || number.interval.empty()) return;
  out.text(" ").leaf("span", number.interval, {{"class", "ci"}});
}

void add_number_cell(Markup& out, const Report& report, std::optional<size_t> measurement) {
  if (!measurement) return add_cell(out, "–", "", "n none");
  const auto cell =
      out.in("td", {{"class", "n"}, {"data-sort", sort_key(report.measurements[*measurement].value)}});
  add_number(out, report, *measurement, NumberStyle::kInColumn);
}

void add_cell(Markup& out, std::string_view text, std::string_view sort_value, std::string_view css) {
  out.leaf("td", text, {{"class", std::string(css)}, {"data-sort", std::string(sort_value)}});
}

void add_text(Markup& out, std::string_view text, size_t fold_at) {
  const bool cut = text.size() > kLongestText;
  const std::string whole =
      std::string(beginning(text, kLongestText)) + (cut ? "\n… the rest is in report.json" : "");
  const bool many_lines = std::count(whole.begin(), whole.end(), '\n') > 8;
  if (whole.size() <= fold_at && !many_lines) {
    out.leaf("div", whole, {{"class", "text"}, {"dir", "auto"}});
    return;
  }
  const auto fold = out.in("details", {{"class", "fold"}});
  out.leaf("summary", std::string(beginning(whole, fold_at / 2)) + "…", {{"dir", "auto"}});
  out.leaf("div", whole, {{"class", "text"}, {"dir", "auto"}});
}

std::string basis_text(const Basis& basis) {
  std::string text;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) text += (text.empty() ? "" : "\n") + name + value;
  };
  add("n = ", basis.n);
  add("interval: ", basis.interval);
  add("settings: ", format_settings(basis.settings));
  add("file sha256 ", basis.file_sha256);
  return text;
}

void add_basis(Markup& out, const std::string& summary, const Basis& basis) {
  const auto fold = out.in("details", {{"class", "more basis"}});
  out.leaf("summary", summary);
  out.leaf("div", basis_text(basis), {{"class", "text hash"}, {"dir", "auto"}});
}

std::string sort_key(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

void add_table(Markup& out, const std::string& caption, const std::vector<TableHead>& heads,
               const std::function<void()>& body, bool sortable) {
  // Focusable, so that a keyboard can scroll it.
  const auto frame =
      out.in("div", {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", caption}});
  const auto table = out.in("table", {{"class", sortable ? "sortable" : ""}});
  out.leaf("caption", caption);
  {
    const auto head = out.in("thead");
    const auto row = out.in("tr");
    for (const TableHead& cell : heads) {
      const auto head_cell =
          out.in("th", {{"scope", "col"}, {"class", cell.numeric ? "n" : ""}, {"title", cell.hint}});
      out.text(cell.title);
      if (!cell.unit.empty() && cell.unit != "share" && cell.unit != "bytes")
        out.text(" ").leaf("span", cell.unit, {{"class", "unit"}});
    }
  }
  const auto rows = out.in("tbody");
  body();
}

void add_figure(Markup& out, const std::string& id, const std::string& title, const std::string& note,
                const DrawChart& draw) {
  const auto figure = out.in("figure");
  {
    const auto caption = out.in("figcaption");
    out.leaf("strong", title);
    if (!note.empty()) out.text(" ").leaf("span", note, {{"class", "note"}});
  }
  out.own(draw(kWideChart, id, "chart wide"));
  out.own(draw(kNarrowChart, id + "-narrow", "chart narrow"));
}

std::string make_id(std::string_view text) {
  std::string id;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!id.empty() && id.back() != '-') {
      id += '-';
    }
  }
  if (id.ends_with('-')) id.pop_back();
  return id;
}

std::string number_id(size_t measurement) {
  return "m" + std::to_string(measurement);
}

}  // namespace assay
