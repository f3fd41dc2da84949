#include "report/report_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "report/metric_facts.hpp"
#include "report/number_text.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// Whether `name` is a count that follows from the setting `from`, as a text's tokens follow from the text.
bool follows_from(const std::vector<const Measurement*>& measurements, const std::string& name,
                  const std::string& from) {
  std::map<std::string, Json> known;
  for (const Measurement* m : measurements) {
    if (!m->settings.is_object() || !m->settings.contains(name) || !m->settings.contains(from)) return false;
    if (!m->settings[name].is_number()) return false;
    if (known.try_emplace(setting_text(m->settings[from]), m->settings[name]).first->second !=
        m->settings[name])
      return false;
  }
  return true;
}

/// The settings, among short ones, whose value differs between measurements of the same subject and metric.
std::vector<std::string> find_conditions(const std::vector<const Measurement*>& measurements) {
  constexpr size_t kLongest = 60;
  std::map<std::tuple<std::string, std::string, std::string>, std::set<std::string>> values;
  std::vector<std::string> names;
  std::set<std::string> known;
  for (const Measurement* m : measurements) {
    if (!m->settings.is_object()) continue;
    for (const auto& [name, value] : m->settings.items()) {
      if (value.is_structured() || setting_text(value).size() > kLongest) continue;
      values[{m->subject, m->metric, name}].insert(setting_text(value));
      if (known.insert(name).second) names.push_back(name);
    }
  }
  std::set<std::string> differing;
  for (const auto& [key, found] : values)
    if (found.size() > 1) differing.insert(std::get<2>(key));
  std::erase_if(names, [&](const std::string& name) { return !differing.contains(name); });
  for (size_t i = 0; i < names.size(); ++i)
    names.erase(
        std::remove_if(names.begin() + static_cast<ptrdiff_t>(i) + 1, names.end(),
                       [&](const std::string& later) { return follows_from(measurements, later, names[i]); }),
        names.end());
  return names;
}

std::vector<std::string> condition_values(const Measurement& m, const std::vector<std::string>& names) {
  std::vector<std::string> values;
  for (const std::string& name : names) {
    const bool known = m.settings.is_object() && m.settings.contains(name);
    values.push_back(known ? setting_text(m.settings[name]) : "");
  }
  return values;
}

size_t subject_rank(const Report& report, std::string_view label) {
  const auto found = std::find_if(report.subjects.begin(), report.subjects.end(),
                                  [&](const Subject& subject) { return subject.label == label; });
  return static_cast<size_t>(found - report.subjects.begin());
}

MetricTable::Row& find_row(MetricTable& table, const Measurement& m) {
  std::vector<std::string> values = condition_values(m, table.conditions);
  for (MetricTable::Row& row : table.rows)
    if (row.subject == m.subject && row.conditions == values) return row;
  table.rows.push_back({.subject = m.subject, .conditions = std::move(values), .cells = {}});
  return table.rows.back();
}

size_t find_column(MetricTable& table, const Measurement& m) {
  for (size_t i = 0; i < table.columns.size(); ++i)
    if (table.columns[i].metric == m.metric && table.columns[i].unit == m.unit) return i;
  table.columns.push_back({.metric = m.metric, .unit = m.unit});
  return table.columns.size() - 1;
}

MetricTable make_table(const Report& report, std::string_view task, const std::string& group,
                       const std::vector<size_t>& indices) {
  MetricTable table{.task = std::string(task), .title = group, .conditions = {}, .columns = {}, .rows = {}};
  std::vector<const Measurement*> measurements;
  for (const size_t index : indices) measurements.push_back(&report.measurements[index]);
  table.conditions = find_conditions(measurements);
  for (const size_t index : indices) {
    const Measurement& m = report.measurements[index];
    const size_t column = find_column(table, m);
    MetricTable::Row& row = find_row(table, m);
    row.cells.resize(std::max(row.cells.size(), column + 1));
    if (!row.cells[column]) row.cells[column] = index;
  }
  for (MetricTable::Row& row : table.rows) row.cells.resize(table.columns.size());
  return table;
}

}  // namespace

std::vector<std::string> tasks_of(const Report& report) {
  std::vector<std::string> tasks;
  for (const Measurement& m : report.measurements)
    if (std::find(tasks.begin(), tasks.end(), m.task) == tasks.end()) tasks.push_back(m.task);
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const std::string& a, const std::string& b) { return task_order(a) < task_order(b); });
  return tasks;
}

std::vector<MetricTable> metric_tables(const Report& report, std::string_view task) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < report.measurements.size(); ++i)
    if (report.measurements[i].task == task) indices.push_back(i);
  const auto rank = [&](size_t i) {
    const Measurement& m = report.measurements[i];
    return std::tuple(metric_fact(task, m.metric).order, subject_rank(report, m.subject));
  };
  std::stable_sort(indices.begin(), indices.end(), [&](size_t a, size_t b) { return rank(a) < rank(b); });
  std::vector<std::pair<std::string, std::vector<size_t>>> groups;
  for (const size_t index : indices) {
    const std::string group = metric_fact(task, report.measurements[index].metric).group;
    auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == group; });
    if (found == groups.end()) found = groups.insert(groups.end(), {group, {}});
    found->second.push_back(index);
  }
  std::vector<MetricTable> tables;
  for (const auto& [group, members] : groups) {
    MetricTable table = make_table(report, task, group, members);
    std::stable_sort(table.rows.begin(), table.rows.end(), [&](const auto& a, const auto& b) {
      return subject_rank(report, a.subject) < subject_rank(report, b.subject);
    });
    tables.push_back(std::move(table));
  }
  return tables;
}

std::optional<size_t> find_headline(const Report& report, std::string_view subject, std::string_view task,
                                    std::string_view metric) {
  std::optional<size_t> first;
  for (size_t i = 0; i < report.measurements.size(); ++i) {
    const Measurement& m = report.measurements[i];
    if (m.subject != subject || m.task != task || m.metric != metric) continue;
    const bool exact = m.settings.is_object() && m.settings.contains("compute") &&
                       setting_text(m.settings["compute"]) == "exact";
    if (exact) return i;
    if (!first) first = i;
  }
  return first;
}

std::string headline_metric(const Report& report, std::string_view task) {
  std::string best;
  int order = 0;
  for (const Measurement& m : report.measurements) {
    if (m.task != task) continue;
    const MetricFact fact = metric_fact(task, m.metric);
    if (fact.direction == Direction::kNeither || (!best.empty() && fact.order >= order)) continue;
    best = m.metric;
    order = fact.order;
  }
  return best;
}

const Subject* find_subject(const Report& report, std::string_view label) {
  const size_t rank = subject_rank(report, label);
  return rank < report.subjects.size() ? &report.subjects[rank] : nullptr;
}

std::optional<size_t> candidate_index(const Report& report, std::string_view label) {
  size_t index = 0;
  for (const Subject& subject : report.subjects) {
    if (subject.label == report.reference) continue;
    if (subject.label == label) return index;
    ++index;
  }
  return std::nullopt;
}

std::string describe_verdict(const Subject& subject) {
  if (!has_size(subject)) return "not a file: taken at its word";
  if (subject.verdict.empty()) return "not inspected";
  if (subject.kind == "reference" && !subject.proven) return subject.verdict;
  if (!subject.proven) return subject.verdict + ", not held to a source";
  return subject.verdict + (*subject.proven ? ", proven" : ", NOT PROVEN");
}

bool is_trusted(const Subject& subject) {
  return subject.verdict != "fake" && subject.proven.value_or(true);
}

bool has_size(const Subject& subject) {
  return subject.kind != "endpoint" && subject.bytes > 0;
}

std::optional<std::string> winner_of(const PairedComparison& comparison) {
  const bool known = std::isfinite(comparison.difference.value);
  switch (known ? comparison.verdict() : PairedVerdict::kNoDifferenceShown) {
    case PairedVerdict::kFirstBetter:
      return comparison.first;
    case PairedVerdict::kSecondBetter:
      return comparison.second;
    case PairedVerdict::kNoDifferenceShown:
      break;
  }
  return std::nullopt;
}

std::string describe_no_difference(const PairedComparison& comparison) {
  std::string text = "no difference shown at n = " + format_whole(comparison.difference.n);
  if (comparison.n_needed) text += "; about " + format_whole(*comparison.n_needed) + " would show it";
  return text;
}

}  // namespace assay
