#include "io/npz_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <set>
#include <vector>

#include "base/error.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

/// numpy/lib/format.py: ARRAY_ALIGN, and GROWTH_AXIS_MAX_DIGITS, the room it leaves for a longer first axis.
constexpr size_t kArrayAlign = 64, kGrowthDigits = 21;
/// 1 January 1980, the oldest time a zip can tell (MS-DOS date: years since 1980, month, day).
constexpr uint16_t kZipEpochTime = 0, kZipEpochDate = (1 << 5) | 1;
/// PKWARE APPNOTE 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3: fixed parts of the records, and the values from
/// which on a field moves to its 64-bit twin.
constexpr uint64_t kLocalHeader = 30, kCentralHeader = 46, kEndRecord = 22, kZip64End = 56 + 20,
                   kExtraHeader = 4, kZip64From = 0xffffffff, kZip64Count = 0xffff;

std::string_view descr_of(DType dtype, const std::string& name) {
  switch (dtype) {
    case DType::kBool:
      return "|b1";
    case DType::kI8:
      return "|i1";
    case DType::kU8:
      return "|u1";
    case DType::kI16:
      return "<i2";
    case DType::kU16:
      return "<u2";
    case DType::kI32:
      return "<i4";
    case DType::kU32:
      return "<u4";
    case DType::kI64:
      return "<i8";
    case DType::kU64:
      return "<u8";
    case DType::kF16:
      return "<f2";
    case DType::kF32:
      return "<f4";
    case DType::kF64:
      return "<f8";
    case DType::kBF16:
      return "|V2";
    default:
      break;
  }
  throw Error(
      Fault{"numpy has no such element type", quote_name(name), {}, std::string(dtype_name(dtype)), {}});
}

uint64_t number_bytes(const NpzSpec& spec) {
  return static_cast<uint64_t>(count_elements(spec.shape)) * dtype_bytes(spec.dtype);
}

void check_names(std::span<const NpzSpec> specs) {
  std::set<std::string_view> seen;
  for (const NpzSpec& spec : specs) {
    if (spec.name.empty() || !is_safe_name(spec.name + ".npy"))
      throw Error(Fault{"a name that an archive cannot have", quote_name(spec.name), {}, {}, {}});
    if (!seen.insert(spec.name).second)
      throw Error(Fault{"two arrays of this name", quote_name(spec.name), {}, {}, {}});
  }
}

/// What went wrong inside a callback, carried past libzip.
struct Failure {
  std::exception_ptr exception;
};

/// A member as libzip pulls it: the preamble, then the numbers.
class MemberSource {
 public:
  MemberSource(size_t index, const NpzSpec& spec, const NpzFill& fill, Failure& failure)
      : index_(index),
        preamble_(npy_preamble(spec)),
        size_(preamble_.size() + number_bytes(spec)),
        fill_(fill),
        failure_(failure) {}

  static zip_int64_t call(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    return static_cast<MemberSource*>(self)->answer(data, length, command);
  }

 private:
  zip_int64_t answer(void* data, zip_uint64_t length, zip_source_cmd_t command) noexcept {
    switch (command) {
      case ZIP_SOURCE_OPEN:
        at_ = 0;
        return 0;
      case ZIP_SOURCE_READ:
        return read({static_cast<std::byte*>(data), length});
      case ZIP_SOURCE_STAT: {
        auto* facts = static_cast<zip_stat_t*>(data);
        zip_stat_init(facts);
        facts->size = size_;
        facts->valid = ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
      }
      case ZIP_SOURCE_ERROR: {
        const int codes[2] = {ZIP_ER_INTERNAL, 0};
        std::memcpy(data, codes, sizeof(codes));
        return sizeof(codes);
      }
      case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_READABLE;
      case ZIP_SOURCE_CLOSE:
      case ZIP_SOURCE_FREE:
        return 0;
      default:
        return -1;
    }
  }

  zip_int64_t read(std::span<std::byte> out) noexcept {
    if (at_ < preamble_.size()) {
      const size_t count = std::min(out.size(), preamble_.size() - static_cast<size_t>(at_));
      std::memcpy(out.data(), preamble_.data() + at_, count);
      at_ += count;
      return static_cast<zip_int64_t>(count);
    }
    const auto count = std::min<uint64_t>(out.size(), size_ - at_);
    try {
      if (count > 0) fill_(index_, at_ - preamble_.size(), out.first(count));
    } catch (...) {
      failure_.exception = std::current_exception();
      return -1;
    }
    at_ += count;
    return static_cast<zip_int64_t>(count);
  }

  size_t index_;
  std::string preamble_;
  uint64_t size_, at_ = 0;
  const NpzFill& fill_;
  Failure& failure_;
};

struct DiscardArchive {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
using Archive = std::unique_ptr<zip_t, DiscardArchive>;

[[noreturn]] void fail_writing(const std::filesystem::path& path, zip_t* archive) {
  throw Error(Fault{"cannot write the archive", path.string(), {}, zip_strerror(archive), "disk full?"});
}

Archive open_archive(const std::filesystem::path& path, bool overwrite) {
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_CREATE | (overwrite ? ZIP_TRUNCATE : ZIP_EXCL), &code));
  if (archive) return archive;
  if (code == ZIP_ER_EXISTS)
    throw Error(Fault{"already exists", path.string(), {}, {}, "pass --overwrite to replace it"});
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw Error(Fault{"cannot write the archive", path.string(), {}, reason, {}});
}

void add_member(zip_t* archive, const NpzSpec& spec, MemberSource& member,
                const std::filesystem::path& path) {
  zip_source_t* source = zip_source_function(archive, &MemberSource::call, &member);
  if (source == nullptr) fail_writing(path, archive);
  const zip_int64_t index = zip_file_add(archive, (spec.name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    fail_writing(path, archive);
  }
  const auto place = static_cast<zip_uint64_t>(index);
  if (zip_set_file_compression(archive, place, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive, place, kZipEpochTime, kZipEpochDate, 0) != 0)
    fail_writing(path, archive);
}

/// libzip renames without this; a crash must not leave a name without its bytes.
void sync_file(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  if (descriptor >= 0) close(descriptor);
  if (!synced) throw Error(Fault{"cannot flush to disk", path.string(), {}, {}, {}});
}

}  // namespace

std::string npy_preamble(const NpzSpec& spec) {
  std::string shape;
  for (const int64_t dimension : spec.shape)
    shape += fmt::format("{}{}", shape.empty() ? "" : ", ", dimension);
  if (spec.shape.size() == 1) shape += ",";
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                 descr_of(spec.dtype, spec.name), shape);
  if (!spec.shape.empty()) text.append(kGrowthDigits - std::to_string(spec.shape[0]).size(), ' ');
  constexpr size_t kFixed = 10;  // magic, version, length
  text.append(kArrayAlign - (kFixed + text.size() + 1) % kArrayAlign, ' ');
  text += '\n';
  std::string preamble = "\x93NUMPY\x01";
  preamble += '\0';
  preamble += static_cast<char>(text.size() & 0xff);
  preamble += static_cast<char>(text.size() >> 8);
  return preamble + text;
}

uint64_t planned_npz_bytes(std::span<const NpzSpec> specs) {
  uint64_t members = 0, directory = 0;
  for (const NpzSpec& spec : specs) {
    const uint64_t name = spec.name.size() + 4, data = npy_preamble(spec).size() + number_bytes(spec);
    const bool large = data >= kZip64From, far = members >= kZip64From;
    directory += kCentralHeader + name;
    if (large || far) directory += kExtraHeader + (large ? 16 : 0) + (far ? 8 : 0);
    members += kLocalHeader + name + (large ? kExtraHeader + 16 : 0) + data;
  }
  const bool zip64 = specs.size() >= kZip64Count || members >= kZip64From || directory >= kZip64From;
  return members + directory + kEndRecord + (zip64 ? kZip64End : 0);
}

void write_npz(const std::filesystem::path& path, std::span<const NpzSpec> specs, const NpzFill& fill,
               bool overwrite) {
  check_names(specs);
  Failure failure;
  std::vector<MemberSource> members;
  members.reserve(specs.size());  // libzip keeps pointers
  for (size_t i = 0; i < specs.size(); ++i) members.emplace_back(i, specs[i], fill, failure);
  Archive archive = open_archive(path, overwrite);
  for (size_t i = 0; i < specs.size(); ++i) add_member(archive.get(), specs[i], members[i], path);
  if (zip_close(archive.get()) != 0) {
    if (failure.exception) std::rethrow_exception(failure.exception);
    fail_writing(path, archive.get());
  }
  archive.release();  // zip_close() has freed it
  sync_file(path);
}

}  // namespace assay
