#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "io/gguf_layout.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

/// Elements of one array. Numbers take 8 bytes in memory, so that a file of single bytes could make us hold
/// eight times its size; the largest real arrays, merges, have under a million.
constexpr uint64_t kMaxArrayLength = uint64_t{1} << 26;

struct TypeFacts {
  std::string_view name;
  size_t bytes;
};
constexpr std::array<TypeFacts, 13> kTypes = {{{"u8", 1},
                                               {"i8", 1},
                                               {"u16", 2},
                                               {"i16", 2},
                                               {"u32", 4},
                                               {"i32", 4},
                                               {"f32", 4},
                                               {"bool", 1},
                                               {"string", 0},
                                               {"array", 0},
                                               {"u64", 8},
                                               {"i64", 8},
                                               {"f64", 8}}};

GgufType read_type(ByteCursor& cursor, const std::string& key) {
  const auto type = cursor.read<uint32_t>("the type of a metadata value");
  if (type >= kTypes.size()) {
    throw Error(Fault{"metadata of an unknown type", cursor.where() + ": " + quote_name(key), "0 to 12",
                      fmt::format("{}", type), "corrupt file?"});
  }
  return static_cast<GgufType>(type);
}

uint64_t read_unsigned(ByteCursor& cursor, GgufType type, const std::string& key) {
  constexpr std::string_view kItem = "a metadata value";
  switch (type) {
    case GgufType::kU16:
      return cursor.read<uint16_t>(kItem);
    case GgufType::kU32:
      return cursor.read<uint32_t>(kItem);
    case GgufType::kU64:
      return cursor.read<uint64_t>(kItem);
    default:
      break;
  }
  const auto byte = cursor.read<uint8_t>(kItem);
  if (type == GgufType::kBool && byte > 1) {
    throw Error(Fault{"a bool that is neither 0 nor 1",
                      cursor.where() + ": " + quote_name(key),
                      {},
                      fmt::format("{}", byte),
                      "corrupt file?"});
  }
  return byte;
}

int64_t read_signed(ByteCursor& cursor, GgufType type) {
  constexpr std::string_view kItem = "a metadata value";
  switch (type) {
    case GgufType::kI8:
      return cursor.read<int8_t>(kItem);
    case GgufType::kI16:
      return cursor.read<int16_t>(kItem);
    case GgufType::kI32:
      return cursor.read<int32_t>(kItem);
    default:
      return cursor.read<int64_t>(kItem);
  }
}

double read_float(ByteCursor& cursor, GgufType type) {
  constexpr std::string_view kItem = "a metadata value";
  return type == GgufType::kF32 ? double{cursor.read<float>(kItem)} : cursor.read<double>(kItem);
}

/// How a stored type is held in memory.
enum class Family { kUnsigned, kSigned, kFloat, kString };
Family family_of(GgufType type) noexcept {
  switch (type) {
    case GgufType::kI8:
    case GgufType::kI16:
    case GgufType::kI32:
    case GgufType::kI64:
      return Family::kSigned;
    case GgufType::kF32:
    case GgufType::kF64:
      return Family::kFloat;
    case GgufType::kString:
      return Family::kString;
    default:
      return Family::kUnsigned;
  }
}

template <typename T, typename Read>
std::vector<T> read_elements(uint64_t count, Read read) {
  std::vector<T> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) values.push_back(read());
  return values;
}

GgufArray read_array(ByteCursor& cursor, const std::string& key) {
  GgufArray array;
  array.type = read_type(cursor, key);
  const std::string where = cursor.where() + ": " + quote_name(key);
  if (array.type == GgufType::kArray)
    throw Error(Fault{"an array of arrays", where, {}, {}, "corrupt file?"});
  const auto count = cursor.read<uint64_t>("the length of an array");
  const uint64_t smallest = array.type == GgufType::kString ? 8 : gguf_type_bytes(array.type);
  if (count > cursor.remaining() / smallest || count > kMaxArrayLength) {
    throw Error(
        Fault{"an array is longer than the rest of the file can hold", where,
              fmt::format("at most {} elements", std::min(cursor.remaining() / smallest, kMaxArrayLength)),
              fmt::format("{}", count), "incomplete download, or corrupt?"});
  }
  switch (family_of(array.type)) {
    case Family::kSigned:
      array.values = read_elements<int64_t>(count, [&] { return read_signed(cursor, array.type); });
      break;
    case Family::kFloat:
      array.values = read_elements<double>(count, [&] { return read_float(cursor, array.type); });
      break;
    case Family::kString:
      array.values = read_elements<std::string>(
          count, [&] { return std::string(cursor.read_string("an array's text")); });
      break;
    case Family::kUnsigned:
      array.values = read_elements<uint64_t>(count, [&] { return read_unsigned(cursor, array.type, key); });
      break;
  }
  return array;
}

/// The low bytes of a two's complement number are its narrower form.
void append_integer(std::string& out, GgufType type, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), gguf_type_bytes(type));
}

void append_float(std::string& out, GgufType type, double value) {
  if (type == GgufType::kF32) {
    append_number(out, static_cast<float>(value));
  } else {
    append_number(out, value);
  }
}

void append_array(std::string& out, const GgufArray& array) {
  append_number(out, static_cast<uint32_t>(array.type));
  append_number(out, uint64_t{array.size()});
  switch (family_of(array.type)) {
    case Family::kSigned:
      for (const int64_t value : std::get<std::vector<int64_t>>(array.values))
        append_integer(out, array.type, static_cast<uint64_t>(value));
      break;
    case Family::kFloat:
      for (const double value : std::get<std::vector<double>>(array.values))
        append_float(out, array.type, value);
      break;
    case Family::kString:
      for (const std::string& value : std::get<std::vector<std::string>>(array.values))
        append_gguf_string(out, value);
      break;
    case Family::kUnsigned:
      for (const uint64_t value : std::get<std::vector<uint64_t>>(array.values))
        append_integer(out, array.type, value);
      break;
  }
}

}  // namespace

std::string_view gguf_type_name(GgufType type) noexcept {
  const auto index = static_cast<uint32_t>(type);
  return index < kTypes.size() ? kTypes[index].name : "?";
}

size_t gguf_type_bytes(GgufType type) noexcept {
  return kTypes[static_cast<uint32_t>(type)].bytes;
}

GgufValue read_gguf_value(ByteCursor& cursor, const std::string& key) {
  GgufValue value;
  value.type = read_type(cursor, key);
  if (value.type == GgufType::kArray) {
    value.value = read_array(cursor, key);
  } else if (value.type == GgufType::kBool) {
    value.value = read_unsigned(cursor, value.type, key) != 0;
  } else {
    switch (family_of(value.type)) {
      case Family::kSigned:
        value.value = read_signed(cursor, value.type);
        break;
      case Family::kFloat:
        value.value = read_float(cursor, value.type);
        break;
      case Family::kString:
        value.value = std::string(cursor.read_string("a metadata text"));
        break;
      case Family::kUnsigned:
        value.value = read_unsigned(cursor, value.type, key);
        break;
    }
  }
  return value;
}

void append_gguf_value(std::string& out, const GgufValue& value) {
  append_number(out, static_cast<uint32_t>(value.type));
  if (value.type == GgufType::kArray) return append_array(out, std::get<GgufArray>(value.value));
  if (value.type == GgufType::kBool)
    return append_number(out, static_cast<uint8_t>(std::get<bool>(value.value)));
  switch (family_of(value.type)) {
    case Family::kSigned:
      return append_integer(out, value.type, static_cast<uint64_t>(std::get<int64_t>(value.value)));
    case Family::kFloat:
      return append_float(out, value.type, std::get<double>(value.value));
    case Family::kString:
      return append_gguf_string(out, std::get<std::string>(value.value));
    case Family::kUnsigned:
      return append_integer(out, value.type, std::get<uint64_t>(value.value));
  }
}

}  // namespace assay
