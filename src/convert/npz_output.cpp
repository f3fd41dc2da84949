#include "convert/npz_output.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/directory_output.hpp"
#include "convert/npz_evidence.hpp"
#include "convert/version.hpp"
#include "formats/format.hpp"
#include "models/npz_weights.hpp"

namespace assay {
namespace {

constexpr float kTopCode = 127.0f;

bool is_int8(const PlannedTensor& tensor) {
  return tensor.format.kind == WeightKind::kInt8;
}

DType element_type(const WeightFormat& format) {
  if (format.kind == WeightKind::kInt8) return DType::kI8;
  ASSAY_CHECK(format.kind == WeightKind::kF32 || format.kind == WeightKind::kF16);
  return format.kind == WeightKind::kF16 ? DType::kF16 : DType::kF32;
}

/// What stands before "embeddings." in a checkpoint with a head; state dictionaries of the bare model lack
/// it.
std::string base_prefix(const std::vector<PlannedTensor>& tensors) {
  for (const PlannedTensor& tensor : tensors) {
    if (tensor.slot.role != TensorRole::kTokenEmbedding) continue;
    const size_t at = tensor.slot.hf_name.find("embeddings.");
    return at == std::string::npos ? "" : tensor.slot.hf_name.substr(0, at);
  }
  return {};
}

/// The numbers of the planned tensors in the order and the pieces that the archive asks for.
class NpzStream {
 public:
  NpzStream(const ConversionSource& source, const Plan& plan, ThreadPool& pool, Progress& progress)
      : file_(*source.file()), plan_(plan), pool_(pool), progress_(progress), errors_(plan.tensors.size()) {
    for (size_t i = 0; i < plan.tensors.size(); ++i) {
      parts_.push_back({i, false});
      if (is_int8(plan.tensors[i])) parts_.push_back({i, true});
    }
  }

  /// Comes in order: see NpzFill.
  void fill(size_t part, uint64_t offset, std::span<std::byte> out) {
    if (parts_[part].is_scale) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&scale_);
      std::memcpy(out.data(), bytes + offset, out.size());
      return;
    }
    if (offset == 0) open(parts_[part].tensor);
    while (!out.empty()) {
      if (taken_ == chunk_.size()) pack_chunk();
      const size_t count = std::min(out.size(), chunk_.size() - taken_);
      std::memcpy(out.data(), chunk_.data() + taken_, count);
      taken_ += count;
      out = out.subspan(count);
    }
  }

  std::vector<WeightError> take_errors() { return std::move(errors_); }

 private:
  struct Part {
    size_t tensor;
    bool is_scale;
  };

  const PlannedTensor& tensor() const { return plan_.tensors[tensor_]; }

  void open(size_t index) {
    tensor_ = index;
    weight_.reset(new SourceWeight(source_weight(file_, tensor().slot, false, std::nullopt)));
    next_row_ = 0;
    chunk_.clear();
    taken_ = 0;
    if (is_int8(tensor())) scale_ = npz_scale(find_largest());
  }

  /// The row read as floats; throws for what is no number.
  void read_row(int64_t row, std::vector<float>& values) const {
    values.resize(static_cast<size_t>(weight_->cols()));
    weight_->read(row, values.data());
    const int64_t column = find_non_finite(values.data(), weight_->cols());
    if (column < 0) return;
    throw Error(Fault{"weight is not finite", tensor().slot.hf_name, "numbers",
                      fmt::format("{} at [{}, {}]", values[static_cast<size_t>(column)], row, column),
                      "damaged checkpoint?"});
  }

  float find_largest() {
    std::vector<float> largest(static_cast<size_t>(weight_->rows()), 0.0f);
    pool_.run_ranges(weight_->rows(), 1, [&](int64_t begin, int64_t end) {
      std::vector<float> values;
      for (int64_t row = begin; row < end; ++row) {
        read_row(row, values);
        for (const float value : values)
          largest[static_cast<size_t>(row)] = std::max(largest[static_cast<size_t>(row)], std::fabs(value));
      }
    });
    return *std::max_element(largest.begin(), largest.end());
  }

  void pack_chunk() {
    const int64_t begin = next_row_, cols = weight_->cols();
    const int64_t end = std::min(weight_->rows(), begin + rows_per_chunk(tensor().format, cols));
    ASSAY_CHECK(begin < end);
    const size_t row_size = static_cast<size_t>(cols) * dtype_bytes(element_type(tensor().format));
    chunk_.resize(static_cast<size_t>(end - begin) * row_size);
    taken_ = 0;
    std::vector<WeightError> rows(static_cast<size_t>(end - begin));
    pool_.run_ranges(end - begin, 1, [&](int64_t first, int64_t last) {
      std::vector<float> values, decoded(static_cast<size_t>(cols));
      for (int64_t i = first; i < last; ++i) {
        read_row(begin + i, values);
        pack_row(values, chunk_.data() + static_cast<size_t>(i) * row_size, decoded);
        rows[static_cast<size_t>(i)] = measure(values, decoded);
      }
    });
    for (const WeightError& row : rows) add_error(row);
    release_rows(begin, end);
    next_row_ = end;
    progress_.advance(static_cast<uint64_t>((end - begin) * cols));
  }

  void pack_row(const std::vector<float>& values, std::byte* out, std::vector<float>& decoded) const {
    if (!is_int8(tensor())) {
      const FormatOps& ops = format_ops(tensor().format);
      ops.quantize_row(tensor().format, values.data(), weight_->cols(), nullptr, {out, nullptr, nullptr});
      if (!ops.is_finite(tensor().format, {out, nullptr, nullptr}, weight_->cols()))
        throw Error(Fault{"value does not fit the format", tensor().slot.hf_name,
                          format_name(tensor().format), "an overflow", "use fp32"});
      ops.dequantize_row(tensor().format, {out, nullptr, nullptr}, weight_->cols(), decoded.data());
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const int8_t code = npz_code(values[i], scale_);
      out[i] = static_cast<std::byte>(code);
      decoded[i] = static_cast<float>(code) * scale_;
    }
  }

  static WeightError measure(const std::vector<float>& values, const std::vector<float>& decoded) {
    WeightError error;
    for (size_t i = 0; i < values.size(); ++i) {
      const double value = static_cast<double>(values[i]);
      const double difference = static_cast<double>(decoded[i]) - value;
      error.error_squares += difference * difference;
      error.weight_squares += value * value;
      error.max_abs = std::max(error.max_abs, std::fabs(difference));
    }
    return error;
  }

  void add_error(const WeightError& row) {
    WeightError& total = errors_[tensor_];
    total.error_squares += row.error_squares;
    total.weight_squares += row.weight_squares;
    total.max_abs = std::max(total.max_abs, row.max_abs);
  }

  /// The source's pages are not read again; giving them back keeps the resident set flat.
  void release_rows(int64_t begin, int64_t end) const {
    ModelTensor part{tensor().slot, {}, weight_->view()};
    const size_t row = weight_->view().codes.size() / static_cast<size_t>(weight_->rows());
    part.weight.codes =
        part.weight.codes.subspan(static_cast<size_t>(begin) * row, static_cast<size_t>(end - begin) * row);
    file_.release(part);
  }

  const ModelFile& file_;
  const Plan& plan_;
  ThreadPool& pool_;
  Progress& progress_;
  std::vector<Part> parts_;
  std::vector<WeightError> errors_;
  size_t tensor_ = 0;
  std::unique_ptr<SourceWeight> weight_;
  float scale_ = 1.0f;
  int64_t next_row_ = 0;
  std::vector<std::byte> chunk_;
  size_t taken_ = 0;  ///< bytes of the chunk that are written
};

/// The source's configuration with what older readers of this container look for. There are no groups.
nlohmann::json npz_config(const ConversionSource& source) {
  nlohmann::json config = source.config();
  config["quantization"] = {
      {"bits", 8}, {"dtype", "int8"}, {"method", "symmetric"}, {"granularity", "tensor"}};
  return config;
}

std::string npz_model_card(const ConversionSource& source, const Plan& plan) {
  return fmt::format(
      "# {}, {}\n\nConverted from {} by assay {}. weights.npz holds int8 codes `NAME` and one f32 scale "
      "`NAME.__scale__` a tensor: a weight is code * scale. {} bytes of weights, {:.3f} bits per weight, "
      "{:.2f}x smaller than 32-bit floats.\n",
      source.name(), plan.recipe.name, source.name(), kToolVersion, plan.weight_bytes, plan.bits_per_weight(),
      plan.ratio_to(32));
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path, false);
  file.write(text);
  file.commit();
}

}  // namespace

float npz_scale(float largest) noexcept {
  const float scale = largest / kTopCode;
  return scale > 0.0f ? scale : 1.0f;
}

int8_t npz_code(float value, float scale) noexcept {
  return static_cast<int8_t>(std::clamp(std::nearbyint(value / scale), -kTopCode, kTopCode));
}

void plan_npz(const ConversionSource& source, Plan& plan) {
  const std::string prefix = base_prefix(plan.tensors);
  for (PlannedTensor& tensor : plan.tensors) {
    if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
    if (is_int8(tensor)) tensor.bytes = tensor.parameters() + sizeof(float);
  }
  plan.files = {{kNpzName, planned_npz_bytes(npz_specs(plan)), {}}};
  plan.output_name = source.name() + "-" + plan.recipe.output_name;
}

std::vector<NpzSpec> npz_specs(const Plan& plan) {
  std::vector<NpzSpec> specs;
  for (const PlannedTensor& tensor : plan.tensors) {
    specs.push_back({tensor.name, element_type(tensor.format), tensor.slot.shape});
    if (is_int8(tensor)) specs.push_back({tensor.name + "." + kNpzScale, DType::kF32, {}});
  }
  return specs;
}

std::vector<std::string> write_npz_output(const std::filesystem::path& folder, const ConversionSource& source,
                                          const Plan& plan, ThreadPool& pool, Progress& progress,
                                          std::vector<WeightError>& errors) {
  NpzStream stream(source, plan, pool, progress);
  progress.begin(plan.recipe.name, plan.parameters, "weight");
  const NpzFill fill = [&](size_t part, uint64_t offset, std::span<std::byte> out) {
    stream.fill(part, offset, out);
  };
  write_npz(folder / kNpzName, npz_specs(plan), fill, false);
  progress.end();
  errors = stream.take_errors();
  write_text(folder / "config.json", npz_config(source).dump(4) + "\n");
  write_text(folder / "README.md", npz_model_card(source, plan));
  std::vector<std::string> names = {kNpzName, "config.json", "README.md"};
  const std::vector<std::string> carried = copy_carried_files(folder, source);
  names.insert(names.end(), carried.begin(), carried.end());
  return names;
}

}  // namespace assay
