#include "convert/inspect_containers.hpp"
#include "convert/tensor_groups.hpp"
#include "io/npz.hpp"

namespace assay {

void inspect_npz(const std::filesystem::path& path, Inspection& inspection) {
  inspection.container = "npz";
  const NpzFile file(path);
  std::vector<RawTensor> raw;
  for (const NpzArray& array : file.arrays())
    raw.push_back({array.name, array.dtype, array.shape, array.bytes, {}});
  GroupContext context;
  context.load = [&](const RawTensor& tensor) { return file.read(*file.find(tensor.name)); };
  for (const TensorGroup& group : group_tensors(raw))
    inspection.tensors.push_back(describe_group(group, context, inspection.contradictions));
}

}  // namespace assay
