#include "convert/npz_evidence.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <unordered_set>

#include "io/byte_cursor.hpp"

namespace assay {
namespace {

/// Distinct values that 8-bit codes can stand for, and the range of symmetric ones.
constexpr size_t kByteLevels = 256;
constexpr int kTopCode = 127;
/// Largest magnitude of a 4-bit code.
constexpr int kTopFourBitCode = 7;

struct CodeCount {
  size_t distinct = 0;
  int low = 0, high = 0;

  explicit CodeCount(const std::vector<std::byte>& codes) {
    std::array<bool, kByteLevels> used{};
    for (const std::byte code : codes) used[static_cast<size_t>(code)] = true;
    for (int code = -128; code < 128; ++code) {
      if (!used[static_cast<uint8_t>(code)]) continue;
      if (distinct++ == 0) low = code;
      high = code;
    }
  }
};

/// Distinct bit patterns, counted up to one more than a byte can tell apart: honest floats stop early.
size_t count_float_levels(const std::vector<std::byte>& numbers) {
  std::unordered_set<uint32_t> seen;
  for (size_t at = 0; at + 4 <= numbers.size() && seen.size() <= kByteLevels; at += 4)
    seen.insert(load_le<uint32_t>(numbers.data() + at));
  return seen.size();
}

class NpzExaminer {
 public:
  NpzExaminer(const NpzFile& file, const TensorGroup& group, InspectedTensor& tensor,
              std::vector<std::string>& contradictions)
      : file_(file), group_(group), tensor_(tensor), contradictions_(contradictions) {}

  void run() {
    const DType dtype = group_.main->dtype;
    const bool old_pair = part(kNpzScaleV1) != nullptr && part(kNpzZeroPointV1) != nullptr;
    if (part(kNpzScale) != nullptr && dtype == DType::kI8)
      examine_codes();
    else if (part(kNpzScale) != nullptr)
      contradict(fmt::format("a scale lies beside it, but it holds {} and no codes", dtype_name(dtype)));
    else if (group_.main->name.ends_with(std::string(".") + kNpzScale))
      contradict("a scale without the codes it belongs to");
    else if (old_pair && dtype == DType::kF32)
      examine_floats();
    else if (dtype == DType::kI8 && !old_pair)
      contradict("codes without a scale");
  }

 private:
  const RawTensor* part(const char* name) const {
    const auto found = group_.parts.find(name);
    return found == group_.parts.end() ? nullptr : found->second;
  }
  void contradict(const std::string& what) { contradictions_.push_back(tensor_.name + ": " + what); }
  std::vector<std::byte> load(const std::string& name) const { return file_.read(*file_.find(name)); }

  void examine_codes() {
    const CodeCount count(load(tensor_.name));
    tensor_.evidence = {{"stored", "int8"},
                        {"bytes", group_.main->bytes},
                        {"float32_bytes", 4 * group_.main->bytes},
                        {"codes_used", count.distinct},
                        {"lowest_code", count.low},
                        {"highest_code", count.high}};
    const float scale = examine_scale();
    if (count.low < -kTopCode) contradict("holds the code -128, outside of the symmetric range");
    const bool all_zero = count.low == 0 && count.high == 0;
    if (count.distinct <= 2 && !(all_zero && scale == 1.0f) && group_.main->bytes > 2)
      contradict(fmt::format("int8 of which {} of 255 codes are in use", count.distinct));
    const int top = std::max(std::abs(count.low), std::abs(count.high));
    tensor_.few_codes = top <= kTopFourBitCode && !all_zero;
  }

  /// NaN where there is none to use.
  float examine_scale() {
    const RawTensor& scale = *part(kNpzScale);
    if (scale.dtype != DType::kF32 || scale.bytes != sizeof(float)) {
      contradict(fmt::format("its scale is {} of {}, not one F32", format_shape(scale.shape),
                             dtype_name(scale.dtype)));
      return std::nanf("");
    }
    const auto value = load_le<float>(load(scale.name).data());
    if (std::isfinite(value))
      tensor_.evidence["scale"] = value;
    else
      tensor_.evidence["scale"] = nullptr;
    if (!(value > 0.0f) || !std::isfinite(value))
      contradict(fmt::format("its scale is {}, no positive number", value));
    return value;
  }

  void examine_floats() {
    const size_t levels = count_float_levels(load(tensor_.name));
    const bool many = levels > kByteLevels;
    tensor_.evidence = {{"stored", "float32"},
                        {"bytes", group_.main->bytes},
                        {"int8_bytes", group_.main->bytes / 4},
                        {"distinct_values", many ? nlohmann::json() : nlohmann::json(levels)}};
    tensor_.suspicion = fmt::format(
        "is stored in 4 bytes a weight although a scale and a zero point lie beside it, {}",
        many
            ? "and has more distinct values than 8 bits tell apart: never quantized"
            : fmt::format("and has {} distinct values where 8 bits tell {} apart: quantized, written back as "
                          "floats, and no byte saved",
                          levels, kByteLevels));
  }

  const NpzFile& file_;
  const TensorGroup& group_;
  InspectedTensor& tensor_;
  std::vector<std::string>& contradictions_;
};

}  // namespace

void examine_npz_weight(const NpzFile& file, const TensorGroup& group, InspectedTensor& tensor,
                        std::vector<std::string>& contradictions) {
  NpzExaminer(file, group, tensor, contradictions).run();
}

}  // namespace assay
