#include "io/byte_cursor.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace assay {

std::span<const std::byte> ByteCursor::take(uint64_t count, std::string_view item) {
  if (count > remaining()) {
    throw Error(Fault{fmt::format("the file ends inside {}", item), where_,
                      fmt::format("{} bytes at offset {}", count, position_), fmt::format("{}", remaining()),
                      "incomplete download, or corrupt?"});
  }
  const auto taken = bytes_.subspan(position_, count);
  position_ += count;
  return taken;
}

std::string_view ByteCursor::read_string(std::string_view item) {
  const auto length = read<uint64_t>(item);
  const auto text = take(length, item);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

}  // namespace assay
