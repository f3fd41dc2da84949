#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/error.hpp"
#include "io/byte_cursor.hpp"
#include "io/file_kind.hpp"
#include "io/json_text.hpp"
#include "io/names.hpp"
#include "io/safetensors.hpp"
#include "io/safetensors_layout.hpp"

namespace assay {
namespace {

using nlohmann::json;

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
  if (length > kSafetensorsMaxHeader) {
    throw Error(Fault{"the header is too long", where, fmt::format("at most {} bytes", kSafetensorsMaxHeader),
                      fmt::format("{}", length), "corrupt, or not a safetensors file?"});
  }
  if (length > bytes.size() - kSafetensorsLengthBytes) {
    throw Error(Fault{"the header is cut off", where,
                      fmt::format("{} bytes", length + kSafetensorsLengthBytes),
                      fmt::format("a file of {}", bytes.size()), "incomplete download?"});
  }
  return {reinterpret_cast<const char*>(bytes.data()) + kSafetensorsLengthBytes, length};
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

HeaderEntry read_entry(const std::string& name, const json& entry, const std::string& file) {
  if (name.empty() || !is_safe_name(name)) fail_tensor(file, name, "has a name that is empty or holds NUL");
  if (!entry.is_object()) fail_tensor(file, name, "has a header entry that is no object");
  HeaderEntry result;
  result.view = {name, read_dtype(entry, file, name), read_shape(entry, file, name), {}};
  std::tie(result.begin, result.end) = read_range(entry, file, name);
  const uint64_t bytes =
      safetensors_tensor_bytes(result.view.shape, result.view.dtype, file + ": " + quote_name(name));
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

}  // namespace

uint64_t safetensors_tensor_bytes(const Shape& shape, DType dtype, const std::string& where) {
  uint64_t bytes = dtype_bytes(dtype);
  for (const int64_t dimension : shape) {
    // 0 counts as 1 here: it must not hide that the others overflow together. Negative ones are vast.
    const auto product = checked_multiply(bytes, dimension == 0 ? 1 : static_cast<uint64_t>(dimension));
    if (!product || *product > uint64_t{INT64_MAX}) {
      throw Error(Fault{"has a shape whose size overflows 63 bits", where, {}, format_shape(shape), {}});
    }
    bytes = *product;
  }
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return empty ? 0 : bytes;
}

SafetensorsContent parse_safetensors(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text = locate_header(bytes, where);
  const json header = parse_json(text, where + " (header)", DuplicateMembers::kRefuse);
  if (!header.is_object()) throw Error(Fault{"the header is not a JSON object", where, {}, {}, {}});
  SafetensorsContent content;
  content.header_bytes = text.size();
  std::vector<HeaderEntry> entries;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      content.metadata = read_metadata(entry, where);
    } else {
      entries.push_back(read_entry(name, entry, where));
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const auto data = bytes.subspan(kSafetensorsLengthBytes + content.header_bytes);
  check_ranges(entries, data.size(), where);
  for (HeaderEntry& entry : entries) {
    entry.view.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    content.tensors.push_back(std::move(entry.view));
  }
  return content;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  SafetensorsContent content = parse_safetensors(file_.bytes(), path.string());
  tensors_ = std::move(content.tensors);
  metadata_ = std::move(content.metadata);
  header_bytes_ = content.header_bytes;
  for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorView* SafetensorsFile::find(std::string_view name) const noexcept {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace assay
