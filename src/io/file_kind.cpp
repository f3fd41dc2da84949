#include "io/file_kind.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "io/byte_cursor.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

std::string_view leading_text(std::span<const std::byte> bytes, size_t count) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), count)};
}

/// The name of the first member of a zip. Layout of the local header: PKWARE APPNOTE 4.3.7.
std::string_view first_zip_member(std::span<const std::byte> bytes) noexcept {
  constexpr size_t kNameLengthAt = 26, kNameAt = 30;
  if (bytes.size() < kNameAt) return {};
  const auto length = load_le<uint16_t>(bytes.data() + kNameLengthAt);
  return leading_text(bytes.subspan(kNameAt), length);
}

FileKind zip_kind(std::span<const std::byte> bytes) noexcept {
  const std::string_view name = first_zip_member(bytes);
  if (name.ends_with(".npy")) return FileKind::kNpz;
  if (name.ends_with("data.pkl") || name.find("/.format_version") != name.npos ||
      name.find("/.data/") != name.npos) {
    return FileKind::kPytorchPickle;
  }
  return FileKind::kZip;
}

bool looks_like_html(std::string_view text) noexcept {
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos) return false;
  std::string lower;
  for (const char c : text.substr(start, 16)) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  constexpr std::array kOpenings = {"<!doctype", "<html", "<head", "<?xml"};
  return std::any_of(kOpenings.begin(), kOpenings.end(),
                     [&](const char* opening) { return lower.starts_with(opening); });
}

bool looks_like_safetensors(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < 9 || bytes[8] != std::byte{'{'}) return false;
  return load_le<uint64_t>(bytes.data()) <= uint64_t{1} << 32;
}

bool is_printable(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte < 0x7f) || c == '\n' || c == '\r' || c == '\t';
  });
}

}  // namespace

FileKind detect_file_kind(std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) return FileKind::kEmpty;
  const std::string_view text = leading_text(bytes, 256);
  if (text.starts_with("GGUF")) {
    // A version of few units has its low half empty when its bytes are swapped. Source: ggml gguf.cpp.
    const bool swapped = bytes.size() >= 8 && load_le<uint32_t>(bytes.data() + 4) != 0 &&
                         (load_le<uint32_t>(bytes.data() + 4) & 0xffffu) == 0;
    return swapped ? FileKind::kGgufBigEndian : FileKind::kGguf;
  }
  if (text.starts_with("FUGG")) return FileKind::kGgufBigEndian;
  if (text.starts_with("PK\x03\x04")) return zip_kind(bytes);
  // Pickle protocol 2 to 5 opens with 0x80 and its number; torch.save before 1.6 wrote one bare.
  if (bytes.size() >= 2 && bytes[0] == std::byte{0x80} && bytes[1] >= std::byte{2} &&
      bytes[1] <= std::byte{5}) {
    if (!looks_like_safetensors(bytes)) return FileKind::kPytorchPickle;
  }
  if (text.starts_with("version https://git-lfs.github.com/spec")) return FileKind::kGitLfsPointer;
  if (looks_like_safetensors(bytes)) return FileKind::kSafetensors;
  if (looks_like_html(text)) return FileKind::kHtml;
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start != text.npos && text[start] == '{' && is_printable(text.substr(0, 32))) return FileKind::kJson;
  return FileKind::kUnknown;
}

std::string_view file_kind_name(FileKind kind) noexcept {
  switch (kind) {
    case FileKind::kSafetensors:
      return "a safetensors file";
    case FileKind::kGguf:
      return "a GGUF file";
    case FileKind::kGgufBigEndian:
      return "a big-endian GGUF file";
    case FileKind::kNpz:
      return "a numpy .npz archive";
    case FileKind::kPytorchPickle:
      return "a PyTorch pickle";
    case FileKind::kZip:
      return "a zip archive";
    case FileKind::kGitLfsPointer:
      return "a Git LFS pointer";
    case FileKind::kHtml:
      return "an HTML page";
    case FileKind::kJson:
      return "a JSON text";
    case FileKind::kEmpty:
      return "an empty file";
    case FileKind::kUnknown:
      break;
  }
  return "a file of unknown kind";
}

std::string_view file_kind_advice(FileKind kind) noexcept {
  switch (kind) {
    case FileKind::kGitLfsPointer:
      return "the repository was cloned without its large files: run `git lfs pull`";
    case FileKind::kHtml:
      return "a web page was saved instead of the file: use the download link";
    case FileKind::kJson:
      return "an error message saved instead of the file?";
    case FileKind::kEmpty:
      return "interrupted download?";
    case FileKind::kPytorchPickle:
      return "convert it to safetensors first: a pickle can run code";
    case FileKind::kGgufBigEndian:
      return "made for a big-endian machine: convert it again for a little-endian one";
    case FileKind::kSafetensors:
      return "give the folder that holds it and config.json";
    case FileKind::kGguf:
      return "give it by its own path, with the ending .gguf";
    default:
      return {};
  }
}

void fail_wrong_file(std::span<const std::byte> bytes, FileKind wanted, const std::string& where) {
  const FileKind kind = detect_file_kind(bytes);
  std::string found(file_kind_name(kind));
  if (kind == FileKind::kUnknown) {
    found = fmt::format("bytes that begin {}", quote_name(leading_text(bytes, 16)));
  }
  throw Error(Fault{
      fmt::format("not {}", file_kind_name(wanted)), where, {}, found, std::string(file_kind_advice(kind))});
}

}  // namespace assay
