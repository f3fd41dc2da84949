#include <fmt/format.h>

#include <set>

#include "base/error.hpp"
#include "io/gguf_layout.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

constexpr std::string_view kPlan = "planned GGUF file";

/// ggml counts dimensions up to the last one that is not 1 (ggml_n_dims); a scalar has one.
std::vector<int64_t> stored_dims(std::vector<int64_t> dims) {
  if (dims.empty()) return {1};
  while (dims.size() > 1 && dims.back() == 1) dims.pop_back();
  return dims;
}

void check_spec(const GgufTensorSpec& spec) {
  const std::string where = quote_name(spec.name);
  if (spec.name.empty() || spec.name.size() > kGgufMaxNameBytes || !is_safe_name(spec.name)) {
    throw Error(Fault{"a tensor's name does not fit GGUF",
                      where,
                      "1 to 63 bytes of UTF-8",
                      fmt::format("{} bytes", spec.name.size()),
                      {}});
  }
  if (stored_dims(spec.dims).size() > kGgufMaxDims) {
    throw Error(
        Fault{"too many dimensions for GGUF", where, "at most 4", fmt::format("{}", spec.dims.size()), {}});
  }
  if (find_weight_kind(static_cast<uint32_t>(spec.kind)) == nullptr) {
    throw Error(Fault{"a format that GGUF does not hold", where, {}, {}, {}});
  }
}

uint64_t spec_bytes(const GgufTensorSpec& spec) {
  return gguf_tensor_bytes(spec.dims, spec.kind, quote_name(spec.name));
}

uint64_t add_padded(uint64_t offset, uint64_t bytes, uint64_t alignment) {
  const auto sum = checked_add(offset, bytes);
  const auto end = sum ? checked_align(*sum, alignment) : std::nullopt;
  if (!end || *end > uint64_t{INT64_MAX})
    throw Error("the planned GGUF file is larger than 63 bits can tell");
  return *end;
}

void append_metadata(std::string& out, const GgufMetadata& metadata) {
  for (const auto& [key, value] : metadata.entries()) {
    if (key.empty() || key.size() > kGgufMaxKeyBytes || !is_safe_name(key)) {
      throw Error(Fault{"a metadata key does not fit GGUF", quote_name(key), {}, {}, {}});
    }
    append_gguf_string(out, key);
    append_gguf_value(out, value);
  }
}

/// Everything before the padding that precedes the first tensor.
std::string encode_header(const GgufMetadata& metadata, const std::vector<GgufTensorSpec>& specs) {
  const uint64_t alignment = gguf_alignment(metadata, std::string(kPlan));
  std::string out;
  append_number(out, kGgufMagic);
  append_number(out, kGgufVersion);
  append_number(out, uint64_t{specs.size()});
  append_number(out, uint64_t{metadata.entries().size()});
  append_metadata(out, metadata);
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const GgufTensorSpec& spec : specs) {
    check_spec(spec);
    if (!names.insert(spec.name).second)
      throw Error(Fault{"two tensors of this name", quote_name(spec.name), {}, {}, {}});
    append_gguf_string(out, spec.name);
    const std::vector<int64_t> dims = stored_dims(spec.dims);
    append_number(out, static_cast<uint32_t>(dims.size()));
    for (const int64_t dim : dims) append_number(out, dim);
    append_number(out, static_cast<uint32_t>(spec.kind));
    append_number(out, offset);
    offset = add_padded(offset, spec_bytes(spec), alignment);
  }
  return out;
}

}  // namespace

GgufWriter::GgufWriter(AtomicFile& file, const GgufMetadata& metadata, std::vector<GgufTensorSpec> specs)
    : file_(file), specs_(std::move(specs)), alignment_(gguf_alignment(metadata, std::string(kPlan))) {
  ASSAY_CHECK(file_.size() == 0);
  file_.write(encode_header(metadata, specs_));
  file_.pad(alignment_);
  uint64_t begin = file_.size();
  for (const GgufTensorSpec& spec : specs_) {
    const uint64_t bytes = spec_bytes(spec);
    ends_.push_back(begin + bytes);
    begin = add_padded(begin, bytes, alignment_);
  }
  close_full_slots();
}

void GgufWriter::close_full_slots() {
  while (current_ < ends_.size() && file_.size() == ends_[current_]) {
    file_.pad(alignment_);
    ++current_;
  }
}

void GgufWriter::write(std::span<const std::byte> bytes) {
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
  close_full_slots();
}

void GgufWriter::finish() {
  if (current_ == ends_.size()) return;
  throw Error(Fault{"fewer bytes than planned",
                    file_.path().string() + ": " + quote_name(specs_[current_].name),
                    fmt::format("{} more", ends_[current_] - file_.size()),
                    "none",
                    {}});
}

uint64_t GgufWriter::planned_bytes(const GgufMetadata& metadata, const std::vector<GgufTensorSpec>& specs) {
  const uint64_t alignment = gguf_alignment(metadata, std::string(kPlan));
  uint64_t end = add_padded(encode_header(metadata, specs).size(), 0, alignment);
  for (const GgufTensorSpec& spec : specs) end = add_padded(end, spec_bytes(spec), alignment);
  return end;
}

}  // namespace assay
