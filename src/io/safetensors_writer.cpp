#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "io/byte_cursor.hpp"
#include "io/names.hpp"
#include "io/safetensors.hpp"
#include "io/safetensors_layout.hpp"

namespace assay {
namespace {

using nlohmann::json;

/// Where the data starts is a multiple of this, for readers that map the file.
constexpr uint64_t kDataAlignment = 64;

uint64_t spec_bytes(const TensorSpec& spec) {
  return safetensors_tensor_bytes(spec.shape, spec.dtype, quote_name(spec.name));
}

std::string encode_header(const std::vector<TensorSpec>& specs,
                          const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + json(metadata).dump() + ",";
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    const uint64_t end = offset + spec_bytes(spec);
    text +=
        json(spec.name).dump() + fmt::format(R"(:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}},)",
                                             dtype_name(spec.dtype), json(spec.shape).dump(), offset, end);
    offset = end;
  }
  if (text.back() == ',') text.pop_back();
  text += '}';
  text.resize(*checked_align(kSafetensorsLengthBytes + text.size(), kDataAlignment) - kSafetensorsLengthBytes,
              ' ');
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
    total += spec_bytes(spec);
    if (total > uint64_t{INT64_MAX}) throw Error("the planned file is larger than 63 bits can tell");
  }
  try {
    std::string header = encode_header(specs, metadata);
    if (header.size() > kSafetensorsMaxHeader) throw Error("the planned safetensors header is over 100 MB");
    return header;
  } catch (const json::exception& error) {
    throw Error(Fault{"metadata cannot be written as JSON", {}, {}, error.what(), {}});
  }
}

}  // namespace

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
    end += spec_bytes(spec);
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
  uint64_t bytes = kSafetensorsLengthBytes + plan_header(specs, metadata).size();
  for (const TensorSpec& spec : specs) {
    bytes += spec_bytes(spec);
  }
  return bytes;
}

}  // namespace assay
