#include <algorithm>
#include <cmath>

#include "text/jinja_operators.hpp"
#include "text/jinja_runtime.hpp"
#include "text/jinja_text.hpp"

// json.dumps() as transformers' tojson filter calls it. Source: CPython's json/encoder.py.
namespace assay::jinja {
namespace {

struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  ///< one level; lines are broken only when given
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, JsonStyle style) : runtime_(runtime), style_(std::move(style)) {}

  void write(const Value& value) {
    const DepthGuard guard(runtime_.budget());
    runtime_.budget().spend();
    if (out_.size() > runtime_.budget().limits().text_bytes) runtime_.budget().spend_text(out_.size());
    if (const std::string* text = value.as_text()) return write_text(*text);
    if (const Sequence* sequence = value.as_sequence()) {
      if (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple) {
        return write_list(*sequence);
      }
    }
    if (const Dict* dict = value.as_dict()) return write_dict(*dict);
    if (!value.is_none() && !value.is_number()) {
      fail("Object of type " + value.type_name() + " is not JSON serializable");
    }
    out_ += scalar(value);
  }
  std::string take() { return std::move(out_); }

 private:
  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const bool* truth = value.as_bool()) return *truth ? "true" : "false";
    if (const int64_t* integer = value.as_int()) return std::to_string(*integer);
    const double number = value.to_double();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return format_float(number);
  }

  void write_unit(uint32_t unit) {
    static constexpr char kHex[] = "0123456789abcdef";
    out_ += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out_ += kHex[unit >> shift & 15];
  }

  void write_escaped(char32_t c) {
    if (c < 0x10000) return write_unit(c);
    write_unit(0xd800 + ((c - 0x10000) >> 10));
    write_unit(0xdc00 + ((c - 0x10000) & 0x3ff));
  }

  void write_text(const std::string& text) {
    runtime_.budget().spend_text(text.size());
    out_ += '"';
    for (const char32_t c : decode_utf8(text)) {
      static constexpr std::u32string_view kNamed = U"\n\r\t\b\f\"\\";
      const size_t named = kNamed.find(c);
      if (named != std::u32string_view::npos) {
        (out_ += '\\') += "nrtbf\"\\"[named];
      } else if (c < 0x20 || (style_.ascii && c > 0x7e)) {
        write_escaped(c);
      } else {
        append_utf8(out_, c);
      }
    }
    out_ += '"';
  }

  void break_line(const std::string& between) {
    runtime_.budget().spend_text(between.size() + style_.key_separator.size());
    out_ += between;
    if (!style_.indent) return;
    out_ += '\n';
    runtime_.budget().spend_text(style_.indent->size() * static_cast<size_t>(level_));
    for (int i = 0; i < level_; ++i) out_ += *style_.indent;
  }

  void write_list(const Sequence& list) {
    if (list.items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    ++level_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      break_line(i == 0 ? "" : style_.item_separator);
      write(list.items[i]);
    }
    --level_;
    break_line("");
    out_ += ']';
  }

  void write_key(const Value& key) {
    if (const std::string* text = key.as_text()) return write_text(*text);
    if (!key.is_none() && !key.is_number()) {
      fail("keys must be str, int, float, bool or None, not " + key.type_name());
    }
    write_text(scalar(key));
  }

  void write_dict(const Dict& dict) {
    if (dict.size() == 0) {
      out_ += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return is_less(a->first, b->first, runtime_.budget());
      });
    }
    out_ += '{';
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      break_line(i == 0 ? "" : style_.item_separator);
      write_key(entries[i]->first);
      out_ += style_.key_separator;
      write(entries[i]->second);
    }
    --level_;
    break_line("");
    out_ += '}';
  }

  Runtime& runtime_;
  JsonStyle style_;
  std::string out_;
  int level_ = 0;
};

std::string indent_unit(Runtime& runtime, const Value& indent) {
  if (indent.is_text()) return *indent.as_text();
  const auto width = indent.integral();
  if (!width) fail("tojson(): indent must be an int or a str, not " + indent.type_name());
  const auto spaces = static_cast<uint64_t>(std::max<int64_t>(*width, 0));
  runtime.budget().spend_text(spaces);
  return std::string(spaces, ' ');
}

}  // namespace

std::string to_json(Runtime& runtime, const Value& value, const Arguments& options) {
  const Bound bound("tojson", options, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (!bound.value(1).is_none()) {
    style.indent = indent_unit(runtime, bound.value(1));
    style.item_separator = ",";
  }
  if (!bound.value(2).is_none()) {
    const std::vector<Value> pair = runtime.collect(bound.value(2));
    if (pair.size() != 2 || !pair[0].is_text() || !pair[1].is_text()) {
      fail("tojson(): separators must be two texts");
    }
    style.item_separator = *pair[0].as_text();
    style.key_separator = *pair[1].as_text();
  }
  JsonWriter writer(runtime, std::move(style));
  writer.write(value);
  return writer.take();
}

}  // namespace assay::jinja
