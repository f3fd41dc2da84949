#include "models/npz_weights.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "io/npz.hpp"

namespace assay {
namespace {

constexpr std::string_view kScale = ".__scale__", kFakeScale = ".scale", kFakeZero = ".zero_point";

class NpzReader {
 public:
  explicit NpzReader(CheckpointDirectory& directory)
      : directory_(directory), file_(directory.path() / kNpzName) {}

  std::vector<std::string> run() {
    for (const NpzArray& array : file_.arrays()) {
      if (is_companion(array)) continue;
      if (array.dtype == DType::kI8)
        add_codes(array);
      else
        add_floats(array);
    }
    if (fake_ > 0)
      notes_.push_back(std::string(kNpzName) + " is not quantized: " + std::to_string(fake_) +
                       " tensors with a scale and a zero point are stored as 32-bit floats");
    return std::move(notes_);
  }

 private:
  /// Scales and zero points belong to the array before their suffix, and are read with it.
  bool is_companion(const NpzArray& array) {
    for (const std::string_view suffix : {kScale, kFakeScale, kFakeZero}) {
      if (!array.name.ends_with(suffix)) continue;
      const NpzArray* owner = file_.find(array.name.substr(0, array.name.size() - suffix.size()));
      if (suffix == kScale && (owner == nullptr || owner->dtype != DType::kI8))
        fail(array.name, "a scale without codes", "an array of |i1 under the name before it",
             owner == nullptr ? "none" : std::string(dtype_name(owner->dtype)));
      if (owner == nullptr) return false;
      if (suffix == kFakeScale) ++fake_;
      return true;
    }
    return false;
  }

  void add_codes(const NpzArray& array) {
    const NpzArray* scale = file_.find(array.name + std::string(kScale));
    if (scale == nullptr) fail(array.name, "codes without a scale", array.name + std::string(kScale), "none");
    if (scale->dtype != DType::kF32 || count_elements(scale->shape) != 1)
      fail(scale->name, "not the scale of a tensor", "one number of <f4",
           std::string(dtype_name(scale->dtype)) + " " + format_shape(scale->shape));
    if (array.shape.size() != 2)
      fail(array.name, "only matrices are quantized", "two dimensions", format_shape(array.shape));
    std::vector<std::byte> codes = file_.read(array);
    if (std::find(codes.begin(), codes.end(), std::byte{0x80}) != codes.end())
      fail(array.name, "a code is outside its range", "-127 to 127", "-128");
    const std::vector<std::byte> value = file_.read(*scale);
    std::vector<std::byte> scales(static_cast<size_t>(array.shape[0]) * sizeof(float));
    for (size_t row = 0; row < scales.size(); row += sizeof(float))
      std::memcpy(scales.data() + row, value.data(), sizeof(float));
    directory_.add_tensor(array.name + "_scale", DType::kF32, {array.shape[0]}, std::move(scales));
    directory_.add_tensor(array.name, DType::kI8, array.shape, std::move(codes));
  }

  void add_floats(const NpzArray& array) {
    if (!is_float_weight(array.dtype))
      fail(array.name, "array has an element type that weights do not have", "<f4, <f2 or |i1 with a scale",
           std::string(dtype_name(array.dtype)));
    directory_.add_tensor(array.name, array.dtype, array.shape, file_.read(array));
  }

  [[noreturn]] void fail(const std::string& name, std::string what, std::string expected,
                         std::string found) const {
    throw Error(Fault{
        std::move(what), file_.path().string() + ": " + name, std::move(expected), std::move(found), {}});
  }

  CheckpointDirectory& directory_;
  NpzFile file_;
  size_t fake_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace

bool holds_npz_weights(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kNpzName, ignored)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") return false;
  return true;
}

std::vector<std::string> read_npz_weights(CheckpointDirectory& directory) {
  return NpzReader(directory).run();
}

}  // namespace assay
