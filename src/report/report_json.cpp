#include "report/report.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const TensorFact& tensor);
Json to_json(const Subject& subject);
Json to_json(const Series::Point& point);
Json to_json(const Series& series);
Json to_json(const ConfusionMatrix& matrix);
Json to_json(const Flip& flip);
Json to_json(const SampleAnswer& answer);
Json to_json(const Advice& advice);

template <typename T>
Json list_json(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(to_json(value));
  return list;
}

Json to_json(const TensorFact& t) {
  return {{"name", t.name},
          {"role", t.role},
          {"format", t.format},
          {"bytes", t.bytes},
          {"bits_per_weight", finite_json(t.bits_per_weight)},
          {"relative_error", optional_json(t.relative_error)}};
}

Json to_json(const Subject& s) {
  return {{"label", s.label},
          {"kind", s.kind},
          {"path", s.path},
          {"sha256", s.sha256},
          {"recipe", s.recipe},
          {"bytes", s.bytes},
          {"parameters", s.parameters},
          {"requested_bits", optional_json(s.requested_bits)},
          {"bits_per_weight", finite_json(s.bits_per_weight)},
          {"verdict", s.verdict},
          {"proven", optional_json(s.proven)},
          {"tensors", list_json(s.tensors)}};
}

Json to_json(const Series::Point& p) {
  return {{"x", finite_json(p.x)},
          {"y", finite_json(p.y)},
          {"low", optional_json(p.low)},
          {"high", optional_json(p.high)},
          {"n", p.n},
          {"label", p.label}};
}

Json to_json(const Series& s) {
  return {{"subject", s.subject}, {"task", s.task},         {"metric", s.metric},
          {"x_name", s.x_name},   {"unit", s.unit},         {"points", list_json(s.points)},
          {"n_unit", s.n_unit},   {"settings", s.settings}, {"file_sha256", s.file_sha256}};
}

Json to_json(const ConfusionMatrix& m) {
  return {{"subject", m.subject},   {"task", m.task},
          {"dataset", m.dataset},   {"labels", m.labels},
          {"counts", m.counts},     {"unparsed", m.unparsed},
          {"settings", m.settings}, {"file_sha256", m.file_sha256}};
}

Json to_json(const Flip& f) {
  return {{"subject", f.subject},
          {"task", f.task},
          {"dataset", f.dataset},
          {"id", f.id},
          {"text", f.text},
          {"truth", f.truth},
          {"reference", f.reference},
          {"candidate", f.candidate},
          {"reference_margin", optional_json(f.reference_margin)},
          {"candidate_margin", optional_json(f.candidate_margin)}};
}

Json to_json(const SampleAnswer& a) {
  return {{"subject", a.subject},
          {"prompt", a.prompt},
          {"category", a.category},
          {"text", a.text},
          {"finish_reason", a.finish_reason},
          {"flags", a.flags},
          {"tokens", a.tokens}};
}

Json to_json(const Advice& a) {
  return {{"text", a.text}, {"measurements", a.measurements}};
}

}  // namespace

Json to_json(const Report& report) {
  return {{"schema", kReportSchema},
          {"title", report.title},
          {"created", report.created},
          {"tool_version", report.tool_version},
          {"machine", report.machine},
          {"reference", report.reference},
          {"subjects", list_json(report.subjects)},
          {"measurements", list_json(report.measurements)},
          {"comparisons", list_json(report.comparisons)},
          {"series", list_json(report.series)},
          {"matrices", list_json(report.matrices)},
          {"flips", list_json(report.flips)},
          {"answers", list_json(report.answers)},
          {"advice", list_json(report.advice)},
          {"notes", report.notes}};
}

}  // namespace assay
