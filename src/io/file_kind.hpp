#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace assay {

/// What a file turns out to be by its first bytes, whatever its name says.
enum class FileKind : uint8_t {
  kSafetensors,
  kGguf,
  kGgufBigEndian,
  kNpz,
  kPytorchPickle,  ///< torch.save: a zip with data.pkl, or the older bare pickle
  kZip,            ///< a zip that is neither npz nor PyTorch's
  kGitLfsPointer,
  kHtml,
  kJson,
  kEmpty,
  kUnknown,
};

/// Looks at the beginning of a file; a few hundred bytes are enough. Never fails.
FileKind detect_file_kind(std::span<const std::byte> bytes) noexcept;

/// "a Git LFS pointer", to complete a sentence.
std::string_view file_kind_name(FileKind kind) noexcept;

/// What the reader of a wrong file can do about it, e.g. "run `git lfs pull`"; empty where nothing is known.
std::string_view file_kind_advice(FileKind kind) noexcept;

/// Throws the Error of a reader that wanted `wanted` and was given `bytes`: names what they look like and
/// what to do. `where` is the file.
[[noreturn]] void fail_wrong_file(std::span<const std::byte> bytes, FileKind wanted,
                                  const std::string& where);

}  // namespace assay
