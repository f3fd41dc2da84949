#include "cli/compare_subjects.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/inspect.hpp"
#include "convert/verify.hpp"
#include "models/weights_sha256.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Role and error of every tensor of an output, from the manifest that its conversion wrote.
std::map<std::string, json> manifest_tensors(const fs::path& path) {
  std::map<std::string, json> tensors;
  const json entry = find_manifest_entry(path);
  if (entry.is_object())
    for (const json& tensor : entry.value("tensors", json::array()))
      tensors[tensor.value("name", "")] = tensor;
  return tensors;
}

TensorFact tensor_fact(const InspectedTensor& tensor, const std::map<std::string, json>& manifest) {
  TensorFact fact{.name = tensor.name,
                  .format = tensor.format,
                  .bytes = tensor.bytes,
                  .bits_per_weight = tensor.bits_per_weight()};
  const auto known = manifest.find(tensor.name);
  if (known == manifest.end()) return fact;
  fact.role = known->second.value("role", "");
  const json error = known->second.value("error", json());
  if (error.is_object() && error.contains("rms_relative") && error["rms_relative"].is_number())
    fact.relative_error = error["rms_relative"].get<double>();
  return fact;
}

/// The bits that the container itself declares, or nothing.
std::optional<double> declared_bits(const Inspection& inspection) {
  const auto bits = inspection.declared.find("bits");
  if (!inspection.declared.is_object() || bits == inspection.declared.end() || !bits->is_number())
    return std::nullopt;
  return bits->get<double>();
}

void describe_file(Subject& subject) {
  const Inspection inspection = inspect_path(subject.path);
  const auto manifest = manifest_tensors(subject.path);
  subject.bytes = inspection.bytes;
  subject.parameters = inspection.parameters;
  subject.requested_bits = declared_bits(inspection);
  subject.bits_per_weight = inspection.bits_per_weight();
  subject.verdict = verdict_name(inspection.verdict);
  for (const InspectedTensor& tensor : inspection.tensors)
    subject.tensors.push_back(tensor_fact(tensor, manifest));
  subject.sha256 = weights_sha256(ModelFile::open(subject.path));
}

/// What recipes ask for: where each output lies, those that are missing made first.
std::vector<Subject> build_outputs(const SubjectRequest& request, const ConversionSource& source,
                                   ThreadPool& pool, Progress& progress) {
  std::vector<Subject> subjects;
  std::vector<Recipe> missing;
  if (request.recipes.empty()) return subjects;
  for (const Recipe& recipe : parse_recipes(request.recipes)) {
    const fs::path path = request.output / make_plan(source, recipe).output_name;
    if (request.overwrite || !fs::exists(path) || find_manifest_entry(path).is_null())
      missing.push_back(recipe);
    subjects.push_back(
        {.label = recipe.name, .kind = "recipe", .path = path.string(), .recipe = recipe.name});
  }
  if (!missing.empty())
    convert(source, missing, request.output, {.overwrite = request.overwrite}, pool, progress);
  return subjects;
}

/// A short name for a file: its own, unless another subject has it.
std::string file_label(const std::string& path, const std::vector<Subject>& taken) {
  fs::path folder = path;
  if (!folder.has_filename()) folder = folder.parent_path();
  const std::string name = folder.filename().string();
  const bool is_taken =
      std::any_of(taken.begin(), taken.end(), [&](const Subject& subject) { return subject.label == name; });
  return is_taken ? path : name;
}

void refuse_twins(const std::vector<Subject>& subjects) {
  for (size_t i = 0; i < subjects.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (subjects[i].label == subjects[k].label)
        throw UsageError("the same thing is given twice: " + subjects[i].label);
}

}  // namespace

std::vector<Subject> gather_subjects(const SubjectRequest& request, const ConversionSource& source,
                                     ThreadPool& pool, Progress& progress) {
  const std::string source_path = expand_path(request.source).string();
  std::vector<Subject> subjects = {{.label = "source", .kind = "reference", .path = source_path}};
  for (Subject& made : build_outputs(request, source, pool, progress)) subjects.push_back(std::move(made));
  for (const std::string& path : request.paths)
    subjects.push_back(
        {.label = file_label(path, subjects), .kind = "file", .path = expand_path(path).string()});
  for (Subject& subject : subjects) {
    describe_file(subject);
    if (subject.kind == "recipe")
      subject.proven = verify_output(subject.path, source_path, pool, progress).ok();
  }
  for (const std::string& endpoint : request.endpoints)
    subjects.push_back({.label = endpoint, .kind = "endpoint", .path = endpoint});
  refuse_twins(subjects);
  return subjects;
}

}  // namespace assay
