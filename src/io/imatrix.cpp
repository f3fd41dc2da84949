#include "io/imatrix.hpp"

#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/byte_cursor.hpp"
#include "io/gguf.hpp"

namespace assay {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
/// Names of tensors are 63 bytes at most; a data set's may be a path.
constexpr uint64_t kLongestName = 4096;

std::vector<float> floats_of(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// Sums of `rows` runs (one per expert) over their counts; 1 where nothing was counted, as llama-quantize has
/// it.
void divide_by_counts(std::vector<float>& sums, const std::vector<float>& counts) {
  const size_t cols = sums.size() / counts.size();
  for (size_t i = 0; i < sums.size(); ++i) {
    const float count = counts[i / cols];
    sums[i] = count > 0.0f ? sums[i] / count : 1.0f;
  }
}

std::string read_text(ByteCursor& cursor, std::string_view item) {
  const int32_t length = cursor.read<int32_t>(item);
  if (length < 0 || static_cast<uint64_t>(length) > kLongestName)
    throw Error(Fault{"text has an impossible length",
                      cursor.where(),
                      std::string(item) + " of at most 4096 bytes",
                      std::to_string(length),
                      {}});
  const auto bytes = cursor.take(static_cast<uint64_t>(length), item);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_gguf(const MappedFile& file) {
  const auto bytes = file.bytes();
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
}

}  // namespace

ImportanceMatrix ImportanceMatrix::read(const std::filesystem::path& path) {
  ImportanceMatrix matrix;
  matrix.file_ = path.filename().string();
  matrix.path_ = path.string();
  is_gguf(MappedFile(path)) ? matrix.read_gguf(path) : matrix.read_legacy(path);
  if (matrix.entries_.empty())
    throw Error(Fault{"importance matrix has no entries", matrix.path_, "tensors NAME.in_sum2", {}, {}});
  return matrix;
}

void ImportanceMatrix::add(std::string name, std::vector<float> values) {
  for (const float value : values)
    if (!std::isfinite(value) || value < 0.0f)
      throw Error(Fault{"importance is not a mean of squares", path_ + ": " + name, "numbers from 0 on",
                        std::to_string(value), "damaged file?"});
  if (!entries_.emplace(name, std::move(values)).second)
    throw Error(Fault{"importance is given twice", path_, "one entry a tensor", name, {}});
}

void ImportanceMatrix::read_gguf(const std::filesystem::path& path) {
  const GgufFile file(path);
  if (const GgufMetadata& metadata = file.metadata(); metadata.find("imatrix.datasets") != nullptr) {
    const std::vector<std::string>& datasets = metadata.strings("imatrix.datasets");
    if (!datasets.empty()) dataset_ = datasets.front();
  }
  chunks_ = file.metadata().integer_or("imatrix.chunk_count", 0);
  for (const GgufTensor& sums : file.tensors()) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const GgufTensor* counts = file.find(name + std::string(kCounts));
    const std::string where = path_ + ": " + sums.name;
    if (counts == nullptr)
      throw Error(Fault{"sums have no counts", where, name + std::string(kCounts), "no such tensor", {}});
    if (sums.kind != WeightKind::kF32 || counts->kind != WeightKind::kF32)
      throw Error(Fault{"importance has another type than it should",
                        where,
                        "F32",
                        format_name(ggml_format(sums.kind)),
                        {}});
    std::vector<float> values = floats_of(sums.bytes);
    const std::vector<float> divisors = floats_of(counts->bytes);
    if (divisors.empty() || values.empty() || values.size() % divisors.size() != 0)
      throw Error(
          Fault{"sums and counts do not fit each other",
                where,
                "a count for every matrix of the tensor",
                std::to_string(values.size()) + " sums, " + std::to_string(divisors.size()) + " counts",
                {}});
    divide_by_counts(values, divisors);
    add(name, std::move(values));
  }
}

void ImportanceMatrix::read_legacy(const std::filesystem::path& path) {
  const MappedFile file(path);
  ByteCursor cursor(file.bytes(), path_);
  const int32_t n_entries = cursor.read<int32_t>("number of entries");
  // An entry takes thirteen bytes at least, so the number is bounded by what is there.
  if (n_entries < 1 || static_cast<uint64_t>(n_entries) > cursor.remaining() / 13)
    throw Error(Fault{"not an importance matrix", path_, "a number of entries that the file can hold",
                      std::to_string(n_entries), "another kind of file, or an incomplete one?"});
  for (int32_t i = 0; i < n_entries; ++i) {
    std::string name = read_text(cursor, "name of an entry");
    const int32_t calls = cursor.read<int32_t>("number of calls of " + name);
    const int32_t count = cursor.read<int32_t>("number of values of " + name);
    if (count < 1)
      throw Error(Fault{"entry has no values", path_ + ": " + name, "at least 1", std::to_string(count), {}});
    std::vector<float> values =
        floats_of(cursor.take(static_cast<uint64_t>(count) * sizeof(float), "values of " + name));
    if (calls > 0)
      for (float& value : values) value /= static_cast<float>(calls);
    add(std::move(name), std::move(values));
  }
  if (cursor.remaining() == 0) return;
  chunks_ = cursor.read<int32_t>("number of chunks");
  if (cursor.remaining() != 0) dataset_ = read_text(cursor, "name of the data set");
}

std::span<const float> ImportanceMatrix::find(const std::string& tensor, int64_t cols) const {
  const auto found = entries_.find(tensor);
  if (found == entries_.end()) return {};
  if (found->second.size() != static_cast<size_t>(cols))
    throw Error(Fault{"importance is of another model",
                      path_ + ": " + tensor,
                      std::to_string(cols) + " values",
                      std::to_string(found->second.size()),
                      {}});
  return found->second;
}

}  // namespace assay
