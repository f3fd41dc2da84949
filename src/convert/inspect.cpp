#include "convert/inspect.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/inspect_containers.hpp"
#include "io/file_kind.hpp"

namespace assay {
namespace {

double ratio(uint64_t bytes, uint64_t parameters) {
  return parameters == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

/// By what the file is, not by what it is called.
void inspect_file(const std::filesystem::path& path, Inspection& inspection) {
  const FileKind kind = [&] {
    const MappedFile file(path);
    const FileKind found = detect_file_kind(file.bytes());
    const bool readable =
        found == FileKind::kGguf || found == FileKind::kNpz || found == FileKind::kSafetensors;
    if (!readable && path.extension() != ".safetensors" && path.extension() != ".gguf" &&
        path.extension() != ".npz")
      throw Error(Fault{"not a file of weights that assay reads", path.string(), "safetensors, GGUF or npz",
                        std::string(file_kind_name(found)), std::string(file_kind_advice(found))});
    return found;
  }();
  // A damaged file goes to the reader its name asks for, whose error says what is wrong with it.
  if (kind == FileKind::kGguf || (kind != FileKind::kSafetensors && path.extension() == ".gguf"))
    inspect_gguf(path, inspection);
  else if (kind == FileKind::kNpz || (kind != FileKind::kSafetensors && path.extension() == ".npz"))
    inspect_npz(path, inspection);
  else
    inspect_safetensors(path, inspection);
}

}  // namespace

double InspectedTensor::bits_per_weight() const noexcept {
  return ratio(bytes, parameters);
}
double Inspection::bits_per_weight() const noexcept {
  return ratio(bytes, parameters);
}

std::map<std::string, FormatTotals> Inspection::formats() const {
  std::map<std::string, FormatTotals> totals;
  for (const InspectedTensor& tensor : tensors) {
    FormatTotals& format = totals[tensor.format];
    ++format.tensors;
    format.parameters += tensor.parameters;
    format.bytes += tensor.bytes;
  }
  return totals;
}

Inspection inspect_path(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path))
    throw Error(Fault{"no such file or directory", path.string(), {}, {}, {}});
  Inspection inspection;
  inspection.path = path;
  inspection.declared = nlohmann::json::object();
  std::filesystem::is_directory(path) ? inspect_directory(path, inspection) : inspect_file(path, inspection);
  for (const InspectedTensor& tensor : inspection.tensors) inspection.parameters += tensor.parameters;
  if (inspection.bytes == 0)
    for (const InspectedTensor& tensor : inspection.tensors) inspection.bytes += tensor.bytes;
  judge(inspection);
  return inspection;
}

nlohmann::json inspection_json(const Inspection& inspection) {
  nlohmann::json formats = nlohmann::json::object(), tensors = nlohmann::json::array();
  for (const auto& [name, totals] : inspection.formats())
    formats[name] = {{"tensors", totals.tensors}, {"parameters", totals.parameters}, {"bytes", totals.bytes}};
  for (const InspectedTensor& tensor : inspection.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"shape", tensor.shape},
                       {"format", tensor.format},
                       {"bytes", tensor.bytes},
                       {"bits_per_weight", tensor.bits_per_weight()}});
    if (!tensor.evidence.is_null()) tensors.back()["evidence"] = tensor.evidence;
  }
  return {{"path", inspection.path.string()},
          {"container", inspection.container},
          {"architecture", inspection.architecture},
          {"parameters", inspection.parameters},
          {"bytes", inspection.bytes},
          {"bits_per_weight", inspection.bits_per_weight()},
          {"declared", inspection.declared},
          {"verdict", verdict_name(inspection.verdict)},
          {"reasons", inspection.reasons},
          {"formats", std::move(formats)},
          {"tensors", std::move(tensors)}};
}

}  // namespace assay
