#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "io/file_kind.hpp"
#include "io/gguf_layout.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

/// The least an entry can take: a one-byte key, a type, a one-byte value.
constexpr uint64_t kSmallestEntry = 8 + 1 + 4 + 1;
/// A one-byte name, no dimension, kind, offset.
constexpr uint64_t kSmallestInfo = 8 + 1 + 4 + 4 + 8;

void check_version(uint32_t version, const std::string& where) {
  if (version == 1) {
    throw Error(Fault{"GGUF version 1 is not read", where, "2 or 3", "1", "convert the model again"});
  }
  if (version != 2 && version != 3) {
    throw Error(Fault{"GGUF of an unknown version", where, "2 or 3", fmt::format("{}", version),
                      "corrupt file, or newer than this assay?"});
  }
}

void check_count(uint64_t count, uint64_t smallest, const ByteCursor& cursor, std::string_view things) {
  if (count <= cursor.remaining() / smallest) return;
  throw Error(Fault{fmt::format("more {} than the file can hold", things), cursor.where(),
                    fmt::format("at most {}", cursor.remaining() / smallest), fmt::format("{}", count),
                    "incomplete download, or corrupt?"});
}

std::string read_key(ByteCursor& cursor) {
  std::string key(cursor.read_string("a metadata key"));
  if (key.empty() || key.size() > kGgufMaxKeyBytes || !is_safe_name(key)) {
    throw Error(Fault{"a metadata key is empty, too long or no UTF-8",
                      cursor.where(),
                      {},
                      quote_name(key),
                      "corrupt file?"});
  }
  return key;
}

GgufMetadata read_metadata(ByteCursor& cursor, uint64_t count) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = read_key(cursor);
    if (metadata.find(key) != nullptr) {
      throw Error(Fault{fmt::format("metadata key {} stands twice", quote_name(key)),
                        cursor.where(),
                        {},
                        {},
                        "corrupt file?"});
    }
    GgufValue value = read_gguf_value(cursor, key);
    metadata.set(std::move(key), std::move(value));
  }
  return metadata;
}

WeightKind read_kind(ByteCursor& cursor, const std::string& where) {
  const auto type = cursor.read<uint32_t>("the kind of a tensor");
  const WeightKindFacts* facts = find_weight_kind(type);
  if (facts != nullptr) return facts->kind;
  // Ids that older files carry and ggml.h has since struck out: Q4_2, Q4_3, the repacked Q4_0 and IQ4_NL.
  const bool removed = type == 4 || type == 5 || (type >= 31 && type <= 33) || (type >= 36 && type <= 38);
  throw Error(Fault{"a tensor of an unknown kind",
                    where,
                    {},
                    fmt::format("type id {}", type),
                    removed ? "ggml has removed this format: convert the model again"
                            : "corrupt file, or a format newer than this assay?"});
}

/// A tensor info, with the offset it claims.
struct TensorInfo {
  GgufTensor tensor;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::string where;
};

TensorInfo read_info(ByteCursor& cursor) {
  TensorInfo info;
  info.tensor.name = std::string(cursor.read_string("the name of a tensor"));
  const std::string& name = info.tensor.name;
  info.where = cursor.where() + ": " + quote_name(name);
  if (name.empty() || name.size() > kGgufMaxNameBytes || !is_safe_name(name)) {
    throw Error(Fault{"a tensor's name is unusable", info.where, "1 to 63 bytes of UTF-8",
                      fmt::format("{} bytes", name.size()), "corrupt file?"});
  }
  const auto n_dims = cursor.read<uint32_t>("the dimensions of a tensor");
  if (n_dims > kGgufMaxDims) {
    throw Error(
        Fault{"too many dimensions", info.where, "at most 4", fmt::format("{}", n_dims), "corrupt file?"});
  }
  for (uint32_t i = 0; i < n_dims; ++i) {
    info.tensor.dims.push_back(cursor.read<int64_t>("the dimensions of a tensor"));
  }
  info.tensor.kind = read_kind(cursor, info.where);
  info.offset = cursor.read<uint64_t>("the offset of a tensor");
  info.bytes = gguf_tensor_bytes(info.tensor.dims, info.tensor.kind, info.where);
  return info;
}

std::vector<TensorInfo> read_infos(ByteCursor& cursor, uint64_t count) {
  std::vector<TensorInfo> infos;
  infos.reserve(count);
  std::set<std::string_view> names;
  for (uint64_t i = 0; i < count; ++i) infos.push_back(read_info(cursor));
  for (const TensorInfo& info : infos) {
    if (!names.insert(info.tensor.name).second) {
      throw Error(Fault{"two tensors of this name", info.where, {}, {}, "corrupt file?"});
    }
  }
  return infos;
}

uint64_t align_or_fail(uint64_t size, uint64_t alignment, const std::string& where) {
  const auto aligned = checked_align(size, alignment);
  if (!aligned) throw Error(Fault{"the sum of the tensors' sizes overflows", where, {}, {}, "corrupt file?"});
  return *aligned;
}

/// Tells each tensor's offset from the sizes before it, and holds the file's claim against that: ggml refuses
/// any other place. Returns the bytes of all tensors, the last one unpadded.
uint64_t check_offsets(const std::vector<TensorInfo>& infos, uint64_t alignment, const std::string& where) {
  uint64_t end = 0;
  for (const TensorInfo& info : infos) {
    const uint64_t expected = align_or_fail(end, alignment, where);
    if (info.offset != expected) {
      throw Error(Fault{"a tensor is not where the sizes before it put it", info.where,
                        fmt::format("offset {}", expected), fmt::format("{}", info.offset),
                        "corrupt file, or another alignment than it says?"});
    }
    const auto sum = checked_add(expected, info.bytes);
    if (!sum) throw Error(Fault{"the sum of the tensors' sizes overflows", where, {}, {}, "corrupt file?"});
    end = *sum;
  }
  return end;
}

/// What lies past the last tensor's padding was never meant to be read: parts joined by `cat`, most often.
void check_tail(std::span<const std::byte> bytes, uint64_t end, uint64_t alignment,
                const std::string& where) {
  const uint64_t padded = align_or_fail(end, alignment, where);
  if (bytes.size() <= padded) return;
  const bool joined = detect_file_kind(bytes.subspan(padded)) == FileKind::kGguf;
  throw Error(Fault{"bytes follow the last tensor", where, fmt::format("{} bytes in all", padded),
                    fmt::format("{}", bytes.size()),
                    joined ? "another GGUF follows: parts of a split are not joined by cat, give part 1"
                           : "corrupt file?"});
}

std::vector<GgufTensor> place_tensors(std::vector<TensorInfo> infos, std::span<const std::byte> bytes,
                                      uint64_t header_end, uint64_t alignment, const std::string& where) {
  const uint64_t begin = align_or_fail(header_end, alignment, where);
  const uint64_t data_bytes = check_offsets(infos, alignment, where);
  const auto end = checked_add(begin, data_bytes);
  if (!end || *end > bytes.size()) {
    if (infos.empty()) return {};  // a vocabulary file need not be padded
    throw Error(Fault{"tensor data is cut off", where,
                      fmt::format("a file of {} bytes", end.value_or(UINT64_MAX)),
                      fmt::format("{}", bytes.size()), "incomplete download?"});
  }
  check_tail(bytes, *end, alignment, where);
  std::vector<GgufTensor> tensors;
  tensors.reserve(infos.size());
  for (TensorInfo& info : infos) {
    info.tensor.bytes = bytes.subspan(begin + info.offset, info.bytes);
    tensors.push_back(std::move(info.tensor));
  }
  return tensors;
}

}  // namespace

uint64_t gguf_tensor_bytes(const std::vector<int64_t>& dims, WeightKind kind, const std::string& where) {
  const WeightKindFacts& facts = *find_weight_kind(static_cast<uint32_t>(kind));
  const uint64_t block_len = static_cast<uint64_t>(facts.block_len);
  const int64_t cols = dims.empty() ? 1 : dims[0];
  if (std::any_of(dims.begin(), dims.end(), [](int64_t dim) { return dim < 0; })) {
    throw Error(Fault{"a negative dimension", where, {}, {}, "corrupt file?"});
  }
  if (static_cast<uint64_t>(cols) % block_len != 0) {
    throw Error(Fault{"a row is no whole number of blocks",
                      where,
                      fmt::format("a multiple of {} for {}", block_len, facts.name),
                      fmt::format("{}", cols),
                      {}});
  }
  // A dimension of 0 counts as 1 here: it must not hide that the others overflow together.
  std::optional<uint64_t> elements = 1, bytes = static_cast<uint64_t>(facts.block_bytes);
  for (size_t i = 0; i < dims.size() && elements && bytes; ++i) {
    const auto dim = static_cast<uint64_t>(std::max<int64_t>(dims[i], 1));
    elements = checked_multiply(*elements, dim);
    bytes = checked_multiply(*bytes, i == 0 ? std::max<uint64_t>(dim / block_len, 1) : dim);
  }
  if (!elements || !bytes || *elements > uint64_t{INT64_MAX} || *bytes > uint64_t{INT64_MAX}) {
    throw Error(Fault{"a tensor's size overflows 63 bits", where, {}, {}, "corrupt file?"});
  }
  const bool empty = std::find(dims.begin(), dims.end(), 0) != dims.end();
  return empty ? 0 : *bytes;
}

GgufPart parse_gguf(std::span<const std::byte> bytes, const std::string& where) {
  if (detect_file_kind(bytes) != FileKind::kGguf) fail_wrong_file(bytes, FileKind::kGguf, where);
  ByteCursor cursor(bytes, where);
  cursor.take(sizeof kGgufMagic, "the magic");
  GgufPart part;
  part.version = cursor.read<uint32_t>("the version");
  check_version(part.version, where);
  const auto n_tensors = cursor.read<uint64_t>("the number of tensors");
  const auto n_entries = cursor.read<uint64_t>("the number of metadata entries");
  check_count(n_entries, kSmallestEntry, cursor, "metadata entries");
  check_count(n_tensors, kSmallestInfo, cursor, "tensors");
  part.metadata = read_metadata(cursor, n_entries);
  check_count(n_tensors, kSmallestInfo, cursor, "tensors");
  std::vector<TensorInfo> infos = read_infos(cursor, n_tensors);
  part.tensors =
      place_tensors(std::move(infos), bytes, cursor.position(), gguf_alignment(part.metadata, where), where);
  return part;
}

}  // namespace assay
