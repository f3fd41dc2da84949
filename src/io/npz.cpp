#include "io/npz.hpp"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/byte_cursor.hpp"
#include "io/file_kind.hpp"
#include "io/names.hpp"
#include "io/npy_header.hpp"

namespace assay {
namespace {

/// Longest .npy header read. numpy itself stops at 10,000 characters (format.py, _MAX_HEADER_SIZE).
constexpr uint64_t kMaxHeaderBytes = 65536;
/// Deflate codes at most 258 bytes in 2 bits and spends at least one byte more. Source: zlib's technical
/// notes, "Maximum Compression Factor".
constexpr uint64_t kMaxDeflateFactor = 1032;

struct CloseMember {
  void operator()(zip_file_t* member) const noexcept { zip_fclose(member); }
};
using Member = std::unique_ptr<zip_file_t, CloseMember>;

Member open_member(zip* archive, uint64_t index, const std::string& where) {
  Member member(zip_fopen_index(archive, index, 0));
  if (!member) {
    throw Error(
        Fault{"a member of the archive cannot be read", where, {}, zip_strerror(archive), "corrupt file?"});
  }
  return member;
}

/// Fills `out` or throws: libzip reports a broken stream or CRC here.
void read_exactly(zip_file_t* member, std::span<std::byte> out, const std::string& where) {
  while (!out.empty()) {
    const zip_int64_t count = zip_fread(member, out.data(), out.size());
    if (count <= 0) {
      const char* reason = count < 0 ? zip_file_strerror(member) : "the member ends too early";
      throw Error(Fault{"a member of the archive is damaged", where, {}, reason, "incomplete download?"});
    }
    out = out.subspan(static_cast<size_t>(count));
  }
}

/// Reading on to the end makes libzip compare the CRC.
void expect_member_end(zip_file_t* member, const std::string& where) {
  std::byte extra{};
  const zip_int64_t count = zip_fread(member, &extra, 1);
  if (count == 0) return;
  throw Error(Fault{"a member of the archive is damaged",
                    where,
                    {},
                    count < 0 ? zip_file_strerror(member) : "more bytes than its directory says",
                    "corrupt file?"});
}

/// Length of the magic, version and length field, and of the header text behind them.
std::pair<size_t, uint64_t> read_preamble(zip_file_t* member, const std::string& where) {
  std::array<std::byte, 12> bytes{};
  read_exactly(member, std::span(bytes).first(8), where);
  const int major = static_cast<int>(bytes[6]);
  if (std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0 || major < 1 || major > 3) {
    throw Error(
        Fault{"not a .npy member", where, "the magic of numpy and format 1 to 3", {}, "corrupt file?"});
  }
  const size_t field = major == 1 ? 2 : 4;
  read_exactly(member, std::span(bytes).subspan(8, field), where);
  const uint64_t length =
      major == 1 ? load_le<uint16_t>(bytes.data() + 8) : load_le<uint32_t>(bytes.data() + 8);
  return {8 + field, length};
}

/// The member's size as its directory tells, after it was found possible for the bytes it is packed in.
uint64_t check_member_size(const zip_stat_t& facts, uint64_t file_bytes, const std::string& where) {
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  const bool stored = facts.comp_method == ZIP_CM_STORE, deflated = facts.comp_method == ZIP_CM_DEFLATE;
  if ((facts.valid & kNeeded) != kNeeded || !(stored || deflated) || facts.encryption_method != ZIP_EM_NONE) {
    throw Error(Fault{"a member is packed in a way that is not read",
                      where,
                      "stored or deflated, not encrypted",
                      fmt::format("method {}", facts.comp_method),
                      {}});
  }
  const bool possible =
      facts.comp_size <= file_bytes &&
      (stored ? facts.size == facts.comp_size : facts.size / kMaxDeflateFactor <= facts.comp_size);
  if (!possible) {
    throw Error(Fault{"a member claims more bytes than it can hold",
                      where,
                      {},
                      fmt::format("{} bytes packed in {}", facts.size, facts.comp_size),
                      "corrupt or hostile file?"});
  }
  return facts.size;
}

/// Bytes of the numbers by the header, which the member's size must agree with.
uint64_t check_array_size(const NpyHeader& header, uint64_t header_bytes, uint64_t member_bytes,
                          const std::string& where) {
  std::optional<uint64_t> bytes = dtype_bytes(header.dtype);
  for (const int64_t dimension : header.shape) {
    if (bytes) bytes = checked_multiply(*bytes, static_cast<uint64_t>(dimension));
  }
  if (bytes && header_bytes <= member_bytes && *bytes == member_bytes - header_bytes) return *bytes;
  throw Error(Fault{"an array's shape contradicts its bytes", where,
                    fmt::format("{} of {}", format_shape(header.shape), dtype_name(header.dtype)),
                    fmt::format("{} bytes in all", member_bytes), "corrupt file?"});
}

NpzArray read_array(zip* archive, uint64_t index, uint64_t file_bytes, const std::string& file) {
  zip_stat_t facts;
  zip_stat_init(&facts);
  if (zip_stat_index(archive, index, 0, &facts) != 0 || (facts.valid & ZIP_STAT_NAME) == 0) {
    throw Error(
        Fault{"the archive's directory is damaged", file, {}, zip_strerror(archive), "corrupt file?"});
  }
  NpzArray array;
  array.name = facts.name;
  const std::string where = file + ": " + quote_name(array.name);
  if (!array.name.ends_with(".npy") || array.name.size() == 4 || !is_safe_name(array.name)) {
    throw Error(Fault{"a member that is no .npy array", where, {}, {}, {}});
  }
  array.name.resize(array.name.size() - 4);
  array.member = index;
  const uint64_t member_bytes = check_member_size(facts, file_bytes, where);
  const Member member = open_member(archive, index, where);
  const auto [preamble, length] = read_preamble(member.get(), where);
  if (length > kMaxHeaderBytes || preamble + length > member_bytes) {
    throw Error(Fault{"the .npy header is too long", where, fmt::format("at most {} bytes", kMaxHeaderBytes),
                      fmt::format("{}", length), "corrupt file?"});
  }
  std::string text(length, '\0');
  read_exactly(member.get(), std::as_writable_bytes(std::span(text)), where);
  NpyHeader header = parse_npy_header(text, where);
  array.header_bytes = preamble + length;
  array.bytes = check_array_size(header, array.header_bytes, member_bytes, where);
  array.dtype = header.dtype;
  array.fortran_order = header.fortran_order && header.shape.size() > 1;
  array.shape = std::move(header.shape);
  return array;
}

/// Column-major to row-major: walks the row-major positions and keeps the column-major offset in step.
std::vector<std::byte> to_row_major(const std::vector<std::byte>& columns, const Shape& shape, size_t size) {
  std::vector<std::byte> rows(columns.size());
  std::vector<int64_t> at(shape.size(), 0);
  std::vector<size_t> stride(shape.size(), size);
  for (size_t d = 1; d < shape.size(); ++d) stride[d] = stride[d - 1] * static_cast<size_t>(shape[d - 1]);
  size_t from = 0;
  for (size_t to = 0; to < rows.size(); to += size) {
    std::memcpy(rows.data() + to, columns.data() + from, size);
    for (size_t d = shape.size(); d-- > 0;) {
      from += stride[d];
      if (++at[d] < shape[d]) break;
      from -= stride[d] * static_cast<size_t>(shape[d]);
      at[d] = 0;
    }
  }
  return rows;
}

}  // namespace

void NpzFile::CloseArchive::operator()(zip* archive) const noexcept {
  zip_discard(archive);
}

NpzFile::NpzFile(const std::filesystem::path& path) : path_(path) {
  const std::string where = path.string();
  const MappedFile file(path);
  if (detect_file_kind(file.bytes()) != FileKind::kNpz) fail_wrong_file(file.bytes(), FileKind::kNpz, where);
  int code = 0;
  archive_.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
  if (!archive_) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    throw Error(
        Fault{"the archive's directory is missing or damaged", where, {}, reason, "incomplete download?"});
  }
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    arrays_.push_back(read_array(archive_.get(), static_cast<uint64_t>(i), file.bytes().size(), where));
    if (!index_.emplace(arrays_.back().name, arrays_.size() - 1).second) {
      throw Error(
          Fault{"two arrays of this name", where + ": " + quote_name(arrays_.back().name), {}, {}, {}});
    }
  }
}

const NpzArray* NpzFile::find(std::string_view name) const noexcept {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &arrays_[found->second];
}

std::vector<std::byte> NpzFile::read(const NpzArray& array) const {
  const std::string where = path_.string() + ": " + quote_name(array.name);
  const Member member = open_member(archive_.get(), array.member, where);
  std::vector<std::byte> header(array.header_bytes);
  read_exactly(member.get(), header, where);
  std::vector<std::byte> numbers(array.bytes);
  read_exactly(member.get(), numbers, where);
  expect_member_end(member.get(), where);
  return array.fortran_order ? to_row_major(numbers, array.shape, dtype_bytes(array.dtype)) : numbers;
}

}  // namespace assay
