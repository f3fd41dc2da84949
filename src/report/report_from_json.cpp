#include <fmt/format.h>

#include <cmath>
#include <type_traits>

#include "base/error.hpp"
#include "report/report.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// A value of the document together with where it stands, so that a fault can name it.
struct Place {
  const Json& json;
  std::string where;

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw Error({"the report is not as assay writes it", where, expected, found,
                 "damaged, or not a report.json of compare?"});
  }

  Place member(const char* name) const {
    if (!json.is_object()) fail("an object", json.type_name());
    const auto found = json.find(name);
    if (found == json.end()) fail(fmt::format("a member \"{}\"", name), "none");
    return {*found, where.empty() ? name : where + "." + name};
  }

  template <typename T>
  T as() const;

  template <typename T>
  T get(const char* name) const {
    return member(name).as<T>();
  }
  template <typename T>
  std::optional<T> find(const char* name) const {
    if (!json.is_object() || !json.contains(name) || json[name].is_null()) return std::nullopt;
    return get<T>(name);
  }

  /// The elements, each made by `read`.
  template <typename Read>
  auto list(const char* name, Read read) const {
    const Place array = member(name);
    if (!array.json.is_array()) array.fail("a list", array.json.type_name());
    std::vector<decltype(read(array))> made;
    made.reserve(array.json.size());
    for (size_t i = 0; i < array.json.size(); ++i)
      made.push_back(read(Place{array.json[i], fmt::format("{}[{}]", array.where, i)}));
    return made;
  }
};

template <typename T>
T Place::as() const {
  if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) fail("a text", json.type_name());
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) fail("true or false", json.type_name());
  } else if constexpr (std::is_integral_v<T>) {
    // A number of the other sign or with a fraction would be bent into T without a word.
    if (!json.is_number_integer()) fail("a whole number", json.is_number() ? json.dump() : json.type_name());
    const bool beyond = json.is_number_unsigned() && std::is_signed_v<T> && json.get<uint64_t>() > INT64_MAX;
    if (beyond || (!json.is_number_unsigned() && std::is_unsigned_v<T> && json.get<int64_t>() < 0))
      fail("a count", json.dump());
  } else {
    if (!json.is_number()) fail("a number", json.type_name());
  }
  return json.get<T>();
}

template <typename T>
T itself(const Place& place) {
  return place.as<T>();
}

/// null is what to_json makes of NaN.
double number_or_nan(const Place& place, const char* name) {
  return place.member(name).json.is_null() ? std::nan("") : place.get<double>(name);
}

TensorFact read_tensor(const Place& p) {
  return {.name = p.get<std::string>("name"),
          .role = p.get<std::string>("role"),
          .format = p.get<std::string>("format"),
          .bytes = p.get<uint64_t>("bytes"),
          .bits_per_weight = number_or_nan(p, "bits_per_weight"),
          .relative_error = p.find<double>("relative_error")};
}

Subject read_subject(const Place& p) {
  return {.label = p.get<std::string>("label"),
          .kind = p.get<std::string>("kind"),
          .path = p.get<std::string>("path"),
          .sha256 = p.get<std::string>("sha256"),
          .recipe = p.get<std::string>("recipe"),
          .bytes = p.get<uint64_t>("bytes"),
          .parameters = p.get<uint64_t>("parameters"),
          .requested_bits = p.find<double>("requested_bits"),
          .bits_per_weight = number_or_nan(p, "bits_per_weight"),
          .verdict = p.get<std::string>("verdict"),
          .proven = p.find<bool>("proven"),
          .tensors = p.list("tensors", read_tensor)};
}

Series::Point read_point(const Place& p) {
  return {.x = number_or_nan(p, "x"),
          .y = number_or_nan(p, "y"),
          .low = p.find<double>("low"),
          .high = p.find<double>("high"),
          .n = p.get<int64_t>("n"),
          .label = p.get<std::string>("label")};
}

Series read_series(const Place& p) {
  return {.subject = p.get<std::string>("subject"),
          .task = p.get<std::string>("task"),
          .metric = p.get<std::string>("metric"),
          .x_name = p.get<std::string>("x_name"),
          .unit = p.get<std::string>("unit"),
          .points = p.list("points", read_point),
          .n_unit = p.find<std::string>("n_unit").value_or(""),
          .settings = p.json.value("settings", Json()),
          .file_sha256 = p.find<std::string>("file_sha256").value_or("")};
}

ConfusionMatrix read_matrix(const Place& p) {
  const auto row = [](const Place& r) {
    if (!r.json.is_array()) r.fail("a list", r.json.type_name());
    std::vector<int64_t> counts;
    for (const Json& count : r.json) counts.push_back(Place{count, r.where}.as<int64_t>());
    return counts;
  };
  ConfusionMatrix matrix{.subject = p.get<std::string>("subject"),
                         .task = p.get<std::string>("task"),
                         .dataset = p.get<std::string>("dataset"),
                         .labels = p.list("labels", itself<std::string>),
                         .counts = p.list("counts", row),
                         .unparsed = p.list("unparsed", itself<int64_t>),
                         .settings = p.json.value("settings", Json()),
                         .file_sha256 = p.find<std::string>("file_sha256").value_or("")};
  const size_t size = matrix.labels.size();
  bool square = matrix.counts.size() == size && (matrix.unparsed.empty() || matrix.unparsed.size() == size);
  for (const auto& counts : matrix.counts) square = square && counts.size() == size;
  if (!square) p.fail(fmt::format("counts of {} by {} labels", size, size), "another shape");
  return matrix;
}

Flip read_flip(const Place& p) {
  return {.subject = p.get<std::string>("subject"),
          .task = p.get<std::string>("task"),
          .dataset = p.get<std::string>("dataset"),
          .id = p.get<std::string>("id"),
          .text = p.get<std::string>("text"),
          .truth = p.get<std::string>("truth"),
          .reference = p.get<std::string>("reference"),
          .candidate = p.get<std::string>("candidate"),
          .reference_margin = p.find<double>("reference_margin"),
          .candidate_margin = p.find<double>("candidate_margin")};
}

SampleAnswer read_answer(const Place& p) {
  return {.subject = p.get<std::string>("subject"),
          .prompt = p.get<std::string>("prompt"),
          .category = p.get<std::string>("category"),
          .text = p.get<std::string>("text"),
          .finish_reason = p.get<std::string>("finish_reason"),
          .flags = p.list("flags", itself<std::string>),
          .tokens = p.get<int64_t>("tokens")};
}

/// measurement_from_json, with the place in the report added to its complaint.
template <typename T>
T read_measured(const Place& p, T (*read)(const Json&)) {
  if (!p.json.is_object()) p.fail("an object", p.json.type_name());
  p.get<int64_t>("n");
  p.find<int64_t>("n_needed");
  try {
    return read(p.json);
  } catch (const Error& error) {
    throw Error({error.fault().what, p.where + "." + error.fault().where, error.fault().expected,
                 error.fault().found, "damaged, or not a report.json of compare?"});
  } catch (const Json::exception& fault) {
    p.fail("a measurement", fault.what());
  }
}

Advice read_advice(const Place& p, size_t measurements) {
  Advice advice{.text = p.get<std::string>("text"), .measurements = p.list("measurements", itself<size_t>)};
  for (const size_t index : advice.measurements)
    if (index >= measurements)
      p.fail(fmt::format("indices of the {} measurements", measurements), std::to_string(index));
  return advice;
}

void check_schema(const Place& top) {
  const auto schema = top.get<int64_t>("schema");
  if (schema > kReportSchema)
    throw Error({"the report has a newer form", "schema", fmt::format("at most {}", kReportSchema),
                 std::to_string(schema), "written by a newer assay"});
  if (schema < 1) top.member("schema").fail("1 or more", std::to_string(schema));
}

}  // namespace

Report report_from_json(const Json& json) {
  const Place top{json, ""};
  check_schema(top);
  Report report{
      .title = top.get<std::string>("title"),
      .created = top.get<std::string>("created"),
      .tool_version = top.get<std::string>("tool_version"),
      .machine = top.member("machine").json,
      .reference = top.get<std::string>("reference"),
      .subjects = top.list("subjects", read_subject),
      .measurements =
          top.list("measurements", [](const Place& p) { return read_measured(p, measurement_from_json); }),
      .comparisons = top.list("comparisons",
                              [](const Place& p) { return read_measured(p, paired_comparison_from_json); }),
      .series = top.list("series", read_series),
      .matrices = top.list("matrices", read_matrix),
      .flips = top.list("flips", read_flip),
      .answers = top.list("answers", read_answer),
      .advice = {},
      .notes = top.list("notes", itself<std::string>)};
  report.advice =
      top.list("advice", [&](const Place& p) { return read_advice(p, report.measurements.size()); });
  return report;
}

}  // namespace assay
