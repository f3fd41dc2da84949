#include "io/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/error.hpp"
#include "io/byte_cursor.hpp"
#include "io/file_kind.hpp"
#include "io/json_text.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

using nlohmann::json;

/// Largest header read or written, as in safetensors lib.rs (MAX_HEADER_SIZE).
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
/// The u64 that tells the header's length.
constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kHeaderAlignment = 64;

[[noreturn]] void fail_tensor(const std::string& file, std::string_view tensor, std::string what,
                              std::string expected = {}, std::string found = {}, std::string cause = {}) {
  throw Error(Fault{std::move(what), file + ": " + quote_name(tensor), std::move(expected), std::move(found),
                    std::move(cause)});
}

/// The header's text. Tells apart what is not safetensors at all, and what is cut off.
std::string_view locate_header(std::span<const std::byte> bytes, const std::string& where) {
  if (detect_file_kind(bytes) != FileKind::kSafetensors)
    fail_wrong_file(bytes, FileKind::kSafetensors, where);
  const auto length = load_le<uint64_t>(bytes.data());
  if (length > kMaxHeaderBytes) {
    throw Error(Fault{"the header is too long", where, fmt::format("at most {} bytes", kMaxHeaderBytes),
                      fmt::format("{}", length), "corrupt, or not a safetensors file?"});
  }
  if (length > bytes.size() - kLengthBytes) {
    throw Error(Fault{"the header is cut off", where, fmt::format("{} bytes", length + kLengthBytes),
                      fmt::format("a file of {}", bytes.size()), "incomplete download?"});
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length};
}

std::map<std::string, std::string> read_metadata(const json& member, const std::string& where) {
  std::map<std::string, std::string> metadata;
  if (member.is_null()) return metadata;  // as older MLX writes it
  if (!member.is_object()) throw Error(Fault{"__metadata__ is not an object", where, {}, {}, {}});
  for (const auto& [key, value] : member.items()) {
    if (!value.is_string()) {
      throw Error(
          Fault{"__metadata__ holds texts only", where, {}, quote_name(key) + " of another type", {}});
    }
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// A tensor's entry in the header, before its range was held against the file's.
struct HeaderEntry {
  TensorView view;
  uint64_t begin = 0, end = 0;
};

DType read_dtype(const json& entry, const std::string& file, const std::string& name) {
  const auto member = entry.find("dtype");
  if (member == entry.end() || !member->is_string()) fail_tensor(file, name, "has no dtype");
  const auto& text = member->get_ref<const std::string&>();
  const auto dtype = dtype_from_name(text);
  if (!dtype) fail_tensor(file, name, "has a dtype that assay does not know", {}, quote_name(text));
  return *dtype;
}

Shape read_shape(const json& entry, const std::string& file, const std::string& name) {
  const auto member = entry.find("shape");
  if (member == entry.end() || !member->is_array()) fail_tensor(file, name, "has no shape");
  Shape shape;
  for (const json& dimension : *member) {
    if (!dimension.is_number_unsigned() || dimension.get<uint64_t>() > uint64_t{INT64_MAX}) {
      fail_tensor(file, name, "has a dimension that is no size", "a whole number, 0 or more",
                  dimension.dump());
    }
    shape.push_back(dimension.get<int64_t>());
  }
  return shape;
}

std::pair<uint64_t, uint64_t> read_range(const json& entry, const std::string& file,
                                         const std::string& name) {
  const auto member = entry.find("data_offsets");
  const bool valid = member != entry.end() && member->is_array() && member->size() == 2 &&
                     (*member)[0].is_number_unsigned() && (*member)[1].is_number_unsigned();
  if (!valid) fail_tensor(file, name, "has no data_offsets of two whole numbers");
  const auto begin = (*member)[0].get<uint64_t>(), end = (*member)[1].get<uint64_t>();
  if (begin > end) {
    fail_tensor(file, name, "has data_offsets that run backwards", {}, fmt::format("[{}, {}]", begin, end));
  }
  return {begin, end};
}

/// Bytes of a tensor by its shape; overflow is a fault of the file.
uint64_t shape_bytes(const Shape& shape, DType dtype, const std::string& file, const std::string& name) {
  uint64_t bytes = dtype_bytes(dtype);
  for (const int64_t dimension : shape) {
    // 0 counts as 1 here: it must not hide that the others overflow together.
    const auto product = checked_multiply(bytes, dimension == 0 ? 1 : static_cast<uint64_t>(dimension));
    if (!product || *product > uint64_t{INT64_MAX}) {
      fail_tensor(file, name, "has a shape whose size overflows 63 bits", {}, format_shape(shape));
    }
    bytes = *product;
  }
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return empty ? 0 : bytes;
}

HeaderEntry read_entry(const std::string& name, const json& entry, const std::string& file) {
  if (name.empty() || !is_safe_name(name)) fail_tensor(file, name, "has a name that is empty or holds NUL");
  if (!entry.is_object()) fail_tensor(file, name, "has a header entry that is no object");
  HeaderEntry result;
  result.view = {name, read_dtype(entry, file, name), read_shape(entry, file, name), {}};
  std::tie(result.begin, result.end) = read_range(entry, file, name);
  const uint64_t bytes = shape_bytes(result.view.shape, result.view.dtype, file, name);
  if (bytes != result.end - result.begin) {
    fail_tensor(file, name, "has data_offsets that contradict its shape",
                fmt::format("{} bytes for {} {}", bytes, dtype_name(result.view.dtype),
                            format_shape(result.view.shape)),
                fmt::format("{}", result.end - result.begin));
  }
  return result;
}

/// Ranges sorted by position must follow each other without gap or overlap to the end of the file, as
/// safetensors' own reader demands (lib.rs `validate`): nothing can hide between tensors.
void check_ranges(const std::vector<HeaderEntry>& entries, uint64_t data_bytes, const std::string& file) {
  uint64_t expected = 0;
  for (const HeaderEntry& entry : entries) {
    if (entry.begin != expected) {
      fail_tensor(file, entry.view.name,
                  entry.begin < expected ? "overlaps the tensor before it" : "lies behind a hole",
                  fmt::format("data from {}", expected), fmt::format("from {}", entry.begin));
    }
    if (entry.end > data_bytes) {
      const uint64_t total = std::max_element(entries.begin(), entries.end(), [](auto& a, auto& b) {
                               return a.end < b.end;
                             })->end;
      fail_tensor(file, entry.view.name, "tensor data is cut off", fmt::format("{} bytes of data", total),
                  fmt::format("{}", data_bytes), "incomplete download?");
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    throw Error(Fault{"bytes follow the last tensor", file, fmt::format("{} bytes of data", expected),
                      fmt::format("{}", data_bytes), "two files joined, or corrupt?"});
  }
}

std::string encode_header(const std::vector<TensorSpec>& specs,
                          const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + json(metadata).dump() + ",";
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    const uint64_t end = offset + static_cast<uint64_t>(count_elements(spec.shape)) * dtype_bytes(spec.dtype);
    text +=
        json(spec.name).dump() + fmt::format(R"(:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}},)",
                                             dtype_name(spec.dtype), json(spec.shape).dump(), offset, end);
    offset = end;
  }
  if (text.back() == ',') text.pop_back();
  text += '}';
  text.resize(*checked_align(kLengthBytes + text.size(), kHeaderAlignment) - kLengthBytes, ' ');
  return text;
}

/// The header, after the specs were found fit to be written.
std::string plan_header(const std::vector<TensorSpec>& specs,
                        const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  uint64_t total = 0;
  for (const TensorSpec& spec : specs) {
    if (spec.name.empty() || spec.name == "__metadata__" || !is_safe_name(spec.name)) {
      throw Error(Fault{"not a name for a tensor", quote_name(spec.name), {}, {}, {}});
    }
    if (!names.insert(spec.name).second) {
      throw Error(Fault{"two tensors of this name", quote_name(spec.name), {}, {}, {}});
    }
    total += shape_bytes(spec.shape, spec.dtype, "planned file", spec.name);
    if (total > uint64_t{INT64_MAX}) throw Error("the planned file is larger than 63 bits can tell");
  }
  try {
    std::string header = encode_header(specs, metadata);
    if (header.size() > kMaxHeaderBytes) throw Error("the planned safetensors header is over 100 MB");
    return header;
  } catch (const json::exception& error) {
    throw Error(Fault{"metadata cannot be written as JSON", {}, {}, error.what(), {}});
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string where = path.string();
  const auto bytes = file_.bytes();
  const std::string_view text = locate_header(bytes, where);
  const json header = parse_json(text, where + " (header)", DuplicateMembers::kRefuse);
  if (!header.is_object()) throw Error(Fault{"the header is not a JSON object", where, {}, {}, {}});
  header_bytes_ = text.size();

  std::vector<HeaderEntry> entries;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      metadata_ = read_metadata(entry, where);
    } else {
      entries.push_back(read_entry(name, entry, where));
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const auto data = bytes.subspan(kLengthBytes + header_bytes_);
  check_ranges(entries, data.size(), where);
  for (HeaderEntry& entry : entries) {
    entry.view.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    index_.emplace(entry.view.name, tensors_.size());
    tensors_.push_back(std::move(entry.view));
  }
}

const TensorView* SafetensorsFile::find(std::string_view name) const noexcept {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

SafetensorsWriter::SafetensorsWriter(AtomicFile& file, std::vector<TensorSpec> specs,
                                     const std::map<std::string, std::string>& metadata)
    : file_(file), specs_(std::move(specs)) {
  ASSAY_CHECK(file_.size() == 0);
  const std::string header = plan_header(specs_, metadata);
  const uint64_t length = header.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(header);
  uint64_t end = file_.size();
  for (const TensorSpec& spec : specs_) {
    end += static_cast<uint64_t>(count_elements(spec.shape)) * dtype_bytes(spec.dtype);
    ends_.push_back(end);
  }
  skip_full_slots();
}

void SafetensorsWriter::skip_full_slots() noexcept {
  while (current_ < ends_.size() && file_.size() == ends_[current_]) ++current_;
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const uint64_t room = current_ < ends_.size() ? ends_[current_] - file_.size() : 0;
  if (bytes.size() > room) {
    const std::string slot = current_ < specs_.size() ? quote_name(specs_[current_].name) : "the last tensor";
    throw Error(Fault{"more bytes than planned",
                      file_.path().string() + ": " + slot,
                      fmt::format("at most {} more", room),
                      fmt::format("{}", bytes.size()),
                      {}});
  }
  file_.write(bytes);
  skip_full_slots();
}

void SafetensorsWriter::finish() {
  if (current_ == ends_.size()) return;
  throw Error(Fault{"fewer bytes than planned",
                    file_.path().string() + ": " + quote_name(specs_[current_].name),
                    fmt::format("{} more", ends_[current_] - file_.size()),
                    "none",
                    {}});
}

uint64_t SafetensorsWriter::planned_bytes(const std::vector<TensorSpec>& specs,
                                          const std::map<std::string, std::string>& metadata) {
  uint64_t bytes = kLengthBytes + plan_header(specs, metadata).size();
  for (const TensorSpec& spec : specs) {
    bytes += static_cast<uint64_t>(count_elements(spec.shape)) * dtype_bytes(spec.dtype);
  }
  return bytes;
}

}  // namespace assay
