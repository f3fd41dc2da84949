#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "report/drawing.hpp"
#include "report/markup.hpp"
#include "report/report.hpp"

/// Parts that the sections of report.html share.
namespace assay {

/// "s0" … "s7" by the subject's place among the candidates, "ref" for the reference, "other" for a label that
/// is no subject's: the class that gives its colour everywhere on the page.
std::string subject_class(const Report& report, std::string_view label);
/// The mark that goes with the colour, so that subjects differ without colour as well.
Mark subject_mark(const Report& report, std::string_view label);

/// The subject's mark and label.
void add_subject(Markup& out, const Report& report, const std::string& label);
/// The number of a measurement, linked to its row among all numbers, with what it rests on as tooltip.
enum class NumberStyle { kFull, kBrief, kInColumn };  ///< brief: no interval; in a column: no unit
void add_number(Markup& out, const Report& report, size_t measurement,
                NumberStyle style = NumberStyle::kFull);
/// A table cell with that number, which sorts by its value; "–" for none. Its unit stands in the head.
void add_number_cell(Markup& out, const Report& report, std::optional<size_t> measurement);
/// A cell of plain text; `sort_value` orders it where the text itself does not.
void add_cell(Markup& out, std::string_view text, std::string_view sort_value = "",
              std::string_view css = "");
/// Text of any length: short as it is, long behind its beginning. Line breaks are kept.
void add_text(Markup& out, std::string_view text, size_t fold_at = 240);
/// What numbers without a row of their own rest on, folded: `n`, interval, settings, the weights' hash.
struct Basis {
  std::string n, interval;
  nlohmann::ordered_json settings{};
  std::string file_sha256{};
};
/// "n = …", "interval …", settings and hash in lines; empty ones left out.
std::string basis_text(const Basis& basis);
void add_basis(Markup& out, const std::string& summary, const Basis& basis);
/// The value as a key that the page's script sorts by.
std::string sort_key(double value);

/// A table that scrolls inside its frame where the window is too narrow. `body` writes the rows of <tbody>.
struct TableHead {
  std::string title;
  std::string hint{};  ///< tooltip: the metric in plain words
  bool numeric = true;
  std::string unit{};  ///< of all the column's numbers, which then go without
};
void add_table(Markup& out, const std::string& caption, const std::vector<TableHead>& heads,
               const std::function<void()>& body, bool sortable = true);

/// Widths in which every chart is drawn: for a page, and for a phone, where the page shows the other.
inline constexpr double kWideChart = 760, kNarrowChart = 340;
/// A figure of the chart in both widths. `draw` is given the width, the picture's id and its class.
using DrawChart = std::function<std::string(double, const std::string&, const std::string&)>;
void add_figure(Markup& out, const std::string& id, const std::string& title, const std::string& note,
                const DrawChart& draw);

/// "a", "a-b": an id made of what letters and digits `text` has.
std::string make_id(std::string_view text);
/// "m12": the id of a measurement's row among all numbers.
std::string number_id(size_t measurement);

}  // namespace assay
