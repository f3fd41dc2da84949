#include <functional>

#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/page_assets.hpp"
#include "report/page_parts.hpp"
#include "report/page_sections.hpp"
#include "report/report.hpp"

namespace assay {
namespace {

struct Section {
  std::string id, title;
  Markup content{};
};

/// Every section that has something to say, in the order of the page.
std::vector<Section> make_sections(const Report& report) {
  std::vector<Section> sections;
  const auto add = [&](std::string id, std::string title, const std::function<void(Markup&)>& write) {
    Section section{.id = std::move(id), .title = std::move(title)};
    write(section.content);
    if (!section.content.is_empty()) sections.push_back(std::move(section));
  };
  const auto plain = [&](const char* id, const char* title, void (*write)(Markup&, const Report&)) {
    add(id, title, [&](Markup& out) { write(out, report); });
  };
  plain("summary", "In short", add_summary);
  plain("advice", "Advice", add_advice);
  plain("quality", "Quality against bytes", add_quality);
  plain("pairs", "Pairs on the same items", add_comparisons);
  for (const std::string& task : section_tasks(report))
    add("task-" + make_id(task), task_title(task), [&](Markup& out) { add_task(out, report, task); });
  plain("matrices", "Confusion matrices", add_matrices);
  plain("flips", "Answers that changed", add_flips);
  plain("tensors", "Where the weights lost", add_tensors);
  plain("speed", "Speed and memory", add_speed);
  plain("answers", "Answers side by side", add_answers);
  plain("notes", "Not measured", add_notes);
  plain("files", "The files", add_files);
  plain("numbers", "Every number and what it rests on", add_ledger);
  return sections;
}

void add_head(Markup& out, const Report& report) {
  const auto head = out.in("head");
  out.empty("meta", {{"charset", "utf-8"}});
  out.empty("meta", {{"http-equiv", "Content-Security-Policy"}, {"content", page_policy()}});
  out.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  out.empty("meta", {{"name", "generator"}, {"content", "assay " + report.tool_version}});
  out.empty("link", {{"rel", "icon"}, {"href", "data:,"}});
  out.leaf("title", report.title);
  const auto style = out.in("style");
  out.own(page_style());
}

void add_header(Markup& out, const Report& report, const std::vector<Section>& sections) {
  const auto header = out.in("header");
  {
    const auto top = out.in("div", {{"class", "top"}});
    out.leaf("h1", report.title);
    out.leaf("button", "Dark", {{"id", "theme"}, {"type", "button"}, {"hidden", "hidden"}});
  }
  std::string facts = report.created;
  if (!report.tool_version.empty()) facts += (facts.empty() ? "assay " : " · assay ") + report.tool_version;
  if (const std::string machine = format_settings(report.machine); !machine.empty())
    facts += (facts.empty() ? "" : " · ") + machine;
  out.leaf("p", facts, {{"class", "facts"}});
  const auto nav = out.in("nav", {{"aria-label", "Contents"}});
  const auto list = out.in("ul");
  for (const Section& section : sections) {
    const auto item = out.in("li");
    out.leaf("a", section.title, {{"href", "#" + section.id}});
  }
}

void add_body(Markup& out, const Report& report) {
  const std::vector<Section> sections = make_sections(report);
  const auto body = out.in("body");
  out.leaf("a", "To the content", {{"class", "skip"}, {"href", "#content"}});
  add_header(out, report, sections);
  {
    const auto main = out.in("main", {{"id", "content"}});
    for (const Section& section : sections) {
      const auto element =
          out.in("section", {{"id", section.id}, {"aria-labelledby", section.id + "-title"}});
      out.leaf("h2", section.title, {{"id", section.id + "-title"}});
      out.own(section.content.str());
    }
  }
  {
    const auto footer = out.in("footer");
    out.leaf("p",
             "Drawn by assay from report.json, which holds every number and text of this page. Nothing was "
             "computed "
             "while drawing it; the page fetches nothing.");
  }
  const auto script = out.in("script");
  out.own(page_script());
}

}  // namespace

std::string to_html(const Report& report) {
  Markup out;
  out.own("<!DOCTYPE html>\n");
  const auto write = [&] {
    const auto html = out.in("html", {{"lang", "en"}});
    add_head(out, report);
    add_body(out, report);
  };
  write();
  return out.str();
}

}  // namespace assay
