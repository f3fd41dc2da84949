#include <fmt/format.h>

#include "base/error.hpp"
#include "convert/conversion_metadata.hpp"
#include "convert/inspect_containers.hpp"
#include "convert/npz_evidence.hpp"
#include "io/json_text.hpp"
#include "models/config_fields.hpp"

namespace assay {
namespace {

/// What config.json beside an archive promises, where there is one.
void declare_from_folder(const std::filesystem::path& folder, Inspection& inspection) {
  const std::filesystem::path path = folder / "config.json";
  if (!std::filesystem::is_regular_file(path)) return;
  const nlohmann::json config = read_json_file(path);
  const ConfigFields fields(config);
  inspection.architecture = fields.string_or("model_type", "");
  const auto settings = config.find("quantization");
  if (settings == config.end() || !settings->is_object()) return;
  for (const char* key : {"bits", "group_size", "dtype", "method"})
    if (settings->contains(key)) inspection.declared[key] = (*settings)[key];
}

/// Holds the size that the metadata beside an archive tells to what is stored.
void compare_with_metadata(const std::filesystem::path& folder, uint64_t bytes, Inspection& inspection) {
  const std::optional<SizeClaims> claims = read_size_claims(folder);
  if (!claims || !claims->actual_mb) return;
  const double stored = to_mib(bytes);
  // Half a percent covers rounding to one digit and whether scales were counted.
  if (std::abs(*claims->actual_mb - stored) > 0.005 * stored + 0.05)
    inspection.contradictions.push_back(fmt::format("{} tells {:.2f} MiB of weights, stored are {:.2f}",
                                                    kConversionMetadataName, *claims->actual_mb, stored));
}

struct Tally {
  size_t true_codes = 0, written_back = 0;
  uint64_t bytes = 0, float_bytes = 0;
};

void observe(const Tally& tally, Inspection& inspection) {
  if (tally.true_codes > 0)
    inspection.observations.push_back(fmt::format(
        "{} tensors are int8 codes with one scale each: {} bytes where F32 would take {}, {:.2f}x "
        "smaller in all",
        tally.true_codes, tally.bytes, tally.float_bytes,
        static_cast<double>(tally.float_bytes) / static_cast<double>(tally.bytes)));
  if (tally.written_back > 0)
    inspection.observations.push_back(fmt::format(
        "{} tensors are floats with a scale and a zero point beside them: {} bytes where plain F32 "
        "takes {}, nothing saved",
        tally.written_back, tally.bytes, tally.float_bytes));
}

}  // namespace

void inspect_npz(const std::filesystem::path& path, Inspection& inspection) {
  inspection.container = "npz";
  const NpzFile file(path);
  declare_from_folder(path.parent_path(), inspection);
  std::vector<RawTensor> raw;
  for (const NpzArray& array : file.arrays())
    raw.push_back({array.name, array.dtype, array.shape, array.bytes, {}});
  GroupContext context;
  context.load = [&](const RawTensor& tensor) { return file.read(*file.find(tensor.name)); };
  Tally tally;
  for (const TensorGroup& group : group_tensors(raw)) {
    InspectedTensor tensor = describe_group(group, context, inspection.contradictions);
    examine_npz_weight(file, group, tensor, inspection.contradictions);
    tally.true_codes += tensor.quantized && group.parts.contains(kNpzScale);
    tally.written_back += !tensor.suspicion.empty() && group.parts.contains(kNpzZeroPointV1);
    tally.bytes += tensor.bytes;
    tally.float_bytes += 4 * tensor.parameters;
    inspection.tensors.push_back(std::move(tensor));
  }
  observe(tally, inspection);
  compare_with_metadata(path.parent_path(), tally.bytes, inspection);
}

}  // namespace assay
