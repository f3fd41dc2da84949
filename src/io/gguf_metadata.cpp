#include <fmt/format.h>

#include <bit>
#include <limits>

#include "base/error.hpp"
#include "io/gguf_layout.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

GgufValue array_value(GgufType type, auto values) {
  return {GgufType::kArray, GgufArray{type, std::move(values)}};
}

std::string describe_type(const GgufValue& value) {
  const auto* array = std::get_if<GgufArray>(&value.value);
  if (array == nullptr) return std::string(gguf_type_name(value.type));
  return fmt::format("array of {}", gguf_type_name(array->type));
}

[[noreturn]] void fail_type(std::string_view key, std::string_view wanted, const GgufValue& value) {
  throw Error(
      Fault{"metadata of the wrong type", quote_name(key), std::string(wanted), describe_type(value), {}});
}

const GgufValue& require(const GgufMetadata& metadata, std::string_view key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) throw Error(Fault{"missing from the GGUF metadata", quote_name(key), {}, {}, {}});
  return *value;
}

int64_t as_integer(std::string_view key, const GgufValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.value)) return *number;
  const auto* number = std::get_if<uint64_t>(&value.value);
  if (number == nullptr) fail_type(key, "an integer", value);
  if (*number > uint64_t{INT64_MAX}) {
    throw Error(Fault{"an integer beyond 63 bits", quote_name(key), {}, fmt::format("{}", *number), {}});
  }
  return static_cast<int64_t>(*number);
}

template <typename T>
const T& as(std::string_view key, std::string_view wanted, const GgufValue& value) {
  const auto* member = std::get_if<T>(&value.value);
  if (member == nullptr) fail_type(key, wanted, value);
  return *member;
}

}  // namespace

size_t GgufArray::size() const noexcept {
  return std::visit([](const auto& list) { return list.size(); }, values);
}

GgufValue GgufValue::u16(uint16_t v) {
  return {GgufType::kU16, uint64_t{v}};
}
GgufValue GgufValue::u32(uint32_t v) {
  return {GgufType::kU32, uint64_t{v}};
}
GgufValue GgufValue::i32(int32_t v) {
  return {GgufType::kI32, int64_t{v}};
}
GgufValue GgufValue::u64(uint64_t v) {
  return {GgufType::kU64, v};
}
GgufValue GgufValue::f32(float v) {
  return {GgufType::kF32, double{v}};
}
GgufValue GgufValue::boolean(bool v) {
  return {GgufType::kBool, v};
}
GgufValue GgufValue::string(std::string v) {
  return {GgufType::kString, std::move(v)};
}
GgufValue GgufValue::strings(std::vector<std::string> v) {
  return array_value(GgufType::kString, std::move(v));
}
GgufValue GgufValue::i32s(std::vector<int64_t> v) {
  using Limits = std::numeric_limits<int32_t>;
  for (const int64_t number : v) {
    ASSAY_CHECK(number >= Limits::min() && number <= Limits::max());
  }
  return array_value(GgufType::kI32, std::move(v));
}
GgufValue GgufValue::f32s(std::vector<double> v) {
  return array_value(GgufType::kF32, std::move(v));
}

const GgufValue* GgufMetadata::find(std::string_view key) const noexcept {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

int64_t GgufMetadata::integer(std::string_view key) const {
  return as_integer(key, require(*this, key));
}
double GgufMetadata::number(std::string_view key) const {
  return as<double>(key, "f32 or f64", require(*this, key));
}
bool GgufMetadata::boolean(std::string_view key) const {
  return as<bool>(key, "bool", require(*this, key));
}
const std::string& GgufMetadata::string(std::string_view key) const {
  return as<std::string>(key, "string", require(*this, key));
}

const std::vector<std::string>& GgufMetadata::strings(std::string_view key) const {
  const GgufValue& value = require(*this, key);
  const auto& array = as<GgufArray>(key, "array of string", value);
  const auto* list = std::get_if<std::vector<std::string>>(&array.values);
  if (list == nullptr) fail_type(key, "array of string", value);
  return *list;
}

std::vector<int64_t> GgufMetadata::integers(std::string_view key) const {
  const GgufValue& value = require(*this, key);
  const auto& array = as<GgufArray>(key, "array of integers", value);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&array.values)) return *list;
  const auto* list = std::get_if<std::vector<uint64_t>>(&array.values);
  if (list == nullptr || array.type == GgufType::kBool) fail_type(key, "array of integers", value);
  std::vector<int64_t> widened;
  widened.reserve(list->size());
  for (const uint64_t number : *list) widened.push_back(as_integer(key, {GgufType::kU64, number}));
  return widened;
}

std::vector<double> GgufMetadata::numbers(std::string_view key) const {
  const GgufValue& value = require(*this, key);
  const auto& array = as<GgufArray>(key, "array of f32 or f64", value);
  const auto* list = std::get_if<std::vector<double>>(&array.values);
  if (list == nullptr) fail_type(key, "array of f32 or f64", value);
  return *list;
}

int64_t GgufMetadata::integer_or(std::string_view key, int64_t fallback) const {
  return find(key) == nullptr ? fallback : integer(key);
}
double GgufMetadata::number_or(std::string_view key, double fallback) const {
  return find(key) == nullptr ? fallback : number(key);
}
bool GgufMetadata::boolean_or(std::string_view key, bool fallback) const {
  return find(key) == nullptr ? fallback : boolean(key);
}
std::string GgufMetadata::string_or(std::string_view key, std::string fallback) const {
  return find(key) == nullptr ? fallback : string(key);
}

void GgufMetadata::set(std::string key, GgufValue value) {
  const auto [place, added] = index_.emplace(key, entries_.size());
  if (added) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

void GgufMetadata::erase(std::string_view key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const size_t removed = found->second;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(removed));
  index_.erase(found);
  for (auto& [name, position] : index_) {
    if (position > removed) --position;
  }
}

uint64_t gguf_alignment(const GgufMetadata& metadata, const std::string& where) {
  const GgufValue* value = metadata.find("general.alignment");
  if (value == nullptr) return kGgufDefaultAlignment;
  const uint64_t* alignment = std::get_if<uint64_t>(&value->value);
  if (value->type != GgufType::kU32 || alignment == nullptr || !std::has_single_bit(*alignment)) {
    const std::string found = alignment == nullptr
                                  ? describe_type(*value)
                                  : fmt::format("{} {}", gguf_type_name(value->type), *alignment);
    throw Error(Fault{"general.alignment is unusable", where, "u32, a power of two", found, "corrupt file?"});
  }
  return *alignment;
}

}  // namespace assay
