#include "io/npy_header.hpp"

#include <fmt/format.h>

#include <array>
#include <set>

#include "base/error.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

/// Reads the few shapes of Python literal that numpy writes, left to right.
class LiteralReader {
 public:
  LiteralReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  /// Skips white space and takes `c` if it comes next.
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}'", c));
  }
  std::string read_text() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const size_t end = text_.find(quote, at_);
    if (end == text_.npos) fail("the end of a text");
    std::string text(text_.substr(at_, end - at_));
    at_ = end + 1;
    return text;
  }
  bool read_bool() {
    skip_space();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    fail("True or False");
  }
  Shape read_shape() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      shape.push_back(read_size());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }
  void expect_end() {
    skip_space();
    if (at_ != text_.size()) fail("the end");
  }
  [[noreturn]] void fail(const std::string& wanted) const {
    throw Error(Fault{"the .npy header is not as numpy writes it", where_,
                      fmt::format("{} at character {}", wanted, at_), quote_name(text_.substr(0, 100)),
                      "corrupt file?"});
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  int64_t read_size() {
    skip_space();
    const size_t start = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value)) {
        fail("a size below 2^63");
      }
    }
    if (at_ == start) fail("a size");
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // a long, written under Python 2
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

DType read_descr(const std::string& descr, const std::string& where) {
  struct Row {
    std::string_view code;
    DType dtype;
  };
  // V2, two bytes without a type, is how MLX and ml_dtypes store bfloat16.
  static constexpr std::array<Row, 13> kCodes = {{{"b1", DType::kBool},
                                                  {"i1", DType::kI8},
                                                  {"u1", DType::kU8},
                                                  {"i2", DType::kI16},
                                                  {"u2", DType::kU16},
                                                  {"i4", DType::kI32},
                                                  {"u4", DType::kU32},
                                                  {"i8", DType::kI64},
                                                  {"u8", DType::kU64},
                                                  {"f2", DType::kF16},
                                                  {"f4", DType::kF32},
                                                  {"f8", DType::kF64},
                                                  {"V2", DType::kBF16}}};
  const auto refuse = [&](const char* cause) {
    throw Error(Fault{"an array of a type that is not read", where, {}, quote_name(descr), cause});
  };
  if (descr.find('O') != descr.npos) refuse("pickled Python objects can run code");
  if (descr.starts_with('>')) refuse("big-endian numbers: save again on a little-endian machine");
  const bool marked = descr.starts_with('<') || descr.starts_with('|');
  for (const Row& row : kCodes) {
    const bool single_byte = dtype_bytes(row.dtype) == 1 || row.dtype == DType::kBF16;
    if (marked && descr.substr(1) == row.code && (single_byte || descr[0] == '<')) return row.dtype;
  }
  refuse("");
  return DType::kF32;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& where) {
  LiteralReader reader(text, where);
  NpyHeader header;
  std::set<std::string> seen;
  reader.expect('{');
  while (!reader.accept('}')) {
    const std::string key = reader.read_text();
    reader.expect(':');
    if (!seen.insert(key).second) reader.fail("each key once");
    if (key == "descr") {
      if (reader.accept('[')) {
        throw Error(Fault{"an array of a type that is not read", where, {}, "a structured type", {}});
      }
      header.dtype = read_descr(reader.read_text(), where);
    } else if (key == "fortran_order") {
      header.fortran_order = reader.read_bool();
    } else if (key == "shape") {
      header.shape = reader.read_shape();
    } else {
      reader.fail("descr, fortran_order or shape");
    }
    if (!reader.accept(',')) {
      reader.expect('}');
      break;
    }
  }
  reader.expect_end();
  if (seen.size() != 3) reader.fail("descr, fortran_order and shape");
  return header;
}

}  // namespace assay
