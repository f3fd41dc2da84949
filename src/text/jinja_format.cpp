#include "text/jinja_format.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja_format_spec.hpp"
#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

// The % operator on str. Source: Python's "printf-style String Formatting".
namespace assay::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const std::string& format, const Value& arguments)
      : runtime_(runtime), format_(format), arguments_(arguments) {
    const Sequence* sequence = arguments.as_sequence();
    tuple_ = sequence && sequence->kind == SequenceKind::kTuple ? sequence : nullptr;
  }

  std::string run() {
    std::string out;
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out.append(format_, at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size()) {
        ++at_;
        out += read_field();
      }
      runtime_.budget().spend_text(out.size() > runtime_.budget().limits().text_bytes ? out.size() : 16);
    }
    const bool unused = tuple_ ? next_ < tuple_->items.size()
                               : next_ == 0 && !arguments_.as_dict() && !arguments_.as_sequence();
    if (unused && !keyed_) fail("not all arguments converted during string formatting");
    return out;
  }

 private:
  char peek() const {
    if (at_ >= format_.size()) fail("incomplete format");
    return format_[at_];
  }

  Value take() {
    if (keyed_) return keyed_value_;
    if (tuple_) {
      if (next_ >= tuple_->items.size()) fail("not enough arguments for format string");
      return tuple_->items[next_++];
    }
    if (next_++ > 0) fail("not enough arguments for format string");
    return arguments_;
  }

  void read_key() {
    const size_t end = format_.find(')', at_);
    if (end == std::string::npos) fail("incomplete format key");
    const Dict* dict = arguments_.as_dict();
    if (dict == nullptr) fail("format requires a mapping");
    const std::string name = format_.substr(at_ + 1, end - at_ - 1);
    const Value* found = dict->find(name);
    if (found == nullptr) fail("KeyError: " + quote(name));
    keyed_ = true;
    keyed_value_ = *found;
    at_ = end + 1;
  }

  int64_t read_number() {
    if (peek() == '*') {
      ++at_;
      const auto value = take().integral();
      if (!value) fail("* wants int");
      return *value;
    }
    int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + (format_[at_] - '0');
      if (value > int64_t{1} << 32) fail("a width or precision is too large");
    }
    return value;
  }

  std::string read_field() {
    FormatSpec spec;
    spec.align = '>';
    if (peek() == '(') read_key();
    bool zero = false;
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos; ++at_) {
      if (peek() == '-') spec.align = '<';
      if (peek() == '+') spec.sign = '+';
      if (peek() == ' ' && spec.sign != '+') spec.sign = ' ';
      spec.alternate |= peek() == '#';
      zero |= peek() == '0';
    }
    spec.width = read_number();
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(read_number(), 0);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    const char type = peek();
    ++at_;
    if (type == '%') return "%";
    return convert(spec, type, zero);
  }

  std::string convert(FormatSpec& spec, char type, bool zero) {
    const Value value = take();
    if (type == 's' || type == 'r' || type == 'a') {
      const std::string text = type == 's' ? runtime_.to_text(value) : show(value, runtime_.budget());
      return format_as_text(runtime_, text, spec);
    }
    if (type == 'c') return format_as_text(runtime_, character(value), spec);
    if (zero && spec.align != '<') {
      spec.fill = "0";
      spec.align = '=';
    }
    if (std::string_view("diuxXo").find(type) != std::string_view::npos) {
      const bool decimal = type == 'd' || type == 'i' || type == 'u';
      spec.type = decimal ? 'd' : type;
      return format_as_integer(runtime_, whole(value, decimal, type), spec);
    }
    if (std::string_view("eEfFgG").find(type) == std::string_view::npos) {
      fail("unsupported format character " + quote(std::string(1, type)));
    }
    spec.type = type;
    require_defined(value);
    if (!value.is_number()) fail("must be real number, not " + value.type_name());
    return format_as_float(runtime_, value.to_double(), spec);
  }

  static std::string character(const Value& value) {
    std::string out;
    if (const auto code = value.integral()) {
      if (*code < 0 || *code > 0x10ffff) fail("%c arg not in range(0x110000)");
      append_utf8(out, static_cast<char32_t>(*code));
      return out;
    }
    if (!value.is_text() || count_code_points(*value.as_text()) != 1) fail("%c requires int or char");
    return *value.as_text();
  }

  static int64_t whole(const Value& value, bool decimal, char type) {
    if (const auto integer = value.integral()) return *integer;
    require_defined(value);
    const double* number = value.as_float();
    if (number == nullptr || !decimal) {
      fail(std::string("%") + type + " format: an integer is required, not " + value.type_name());
    }
    if (!std::isfinite(*number) || std::fabs(*number) >= 9.2e18) fail("an integer grows beyond 64 bits");
    return static_cast<int64_t>(*number);
  }

  Runtime& runtime_;
  const std::string& format_;
  const Value& arguments_;
  const Sequence* tuple_ = nullptr;
  size_t at_ = 0;
  size_t next_ = 0;
  bool keyed_ = false;
  Value keyed_value_;
};

}  // namespace

Value format_percent(Runtime& runtime, const Value& format, const Value& arguments) {
  return runtime.make_text(PercentFormatter(runtime, *format.as_text(), arguments).run(),
                           format.is_safe_text());
}

}  // namespace assay::jinja
