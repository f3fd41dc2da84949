#pragma once
#include <optional>
#include <vector>

#include "models/model_file.hpp"

namespace assay {

/// One weight of the source as rows of floats, in the order and precision that the output wants.
class SourceWeight {
 public:
  /// `permuted_heads` != 0 reorders rows (or the elements of a bias) within each head as llama.cpp's
  /// interleaved rope expects: row h*D + 2j + p comes from row h*D + p*D/2 + j. `cast` rounds every value
  /// through F16 or BF16 first. The tensor's file must outlive this.
  SourceWeight(const ModelTensor& tensor, int64_t permuted_heads, std::optional<DType> cast);
  /// A generated F32 vector.
  explicit SourceWeight(std::vector<float> values);
  SourceWeight(const SourceWeight&) = delete;
  SourceWeight& operator=(const SourceWeight&) = delete;

  int64_t rows() const noexcept { return view_.rows; }
  int64_t cols() const noexcept { return view_.cols; }
  const WeightView& view() const noexcept { return view_; }
  /// Reads output row `row` into `out`, cols() floats, cast included. Safe to call from several threads.
  void read(int64_t row, float* out) const;
  /// The same without the cast, and the cast alone (in place, cols() floats).
  void read_stored(int64_t row, float* out) const;
  void cast(float* values) const noexcept;
  bool has_cast() const noexcept { return cast_.has_value(); }
  /// Where output row `row` lies in the source.
  int64_t source_row(int64_t row) const noexcept;

 private:
  WeightView view_;
  int64_t permuted_heads_ = 0;
  std::optional<DType> cast_;
  std::vector<float> own_;
};

/// The weight that fills a planned slot: from the file, or computed (rope factors).
/// Throws Error when the source lacks it.
SourceWeight source_weight(const ModelFile& file, const TensorSlot& slot, bool for_gguf,
                           std::optional<DType> cast);

/// Index of the first NaN or infinite value, or -1.
int64_t find_non_finite(const float* values, int64_t n) noexcept;

}  // namespace assay
