#include "text/jinja_operators.hpp"
#include "text/jinja_text.hpp"

namespace assay::jinja {
namespace {

void show_into(std::string& out, const Value& value, Budget& budget);

void show_items(std::string& out, const Sequence& sequence, const char* open, const char* close,
                Budget& budget) {
  out += open;
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out += ", ";
    show_into(out, sequence.items[i], budget);
  }
  if (sequence.kind == SequenceKind::kTuple && sequence.items.size() == 1) out += ',';
  out += close;
}

void show_sequence(std::string& out, const Sequence& sequence, Budget& budget) {
  switch (sequence.kind) {
    case SequenceKind::kList:
      return show_items(out, sequence, "[", "]", budget);
    case SequenceKind::kTuple:
      return show_items(out, sequence, "(", ")", budget);
    case SequenceKind::kRange:
      out += sequence.shown;
      return;
    case SequenceKind::kKeys:
      return show_items(out, sequence, "dict_keys([", "])", budget);
    case SequenceKind::kValues:
      return show_items(out, sequence, "dict_values([", "])", budget);
    case SequenceKind::kItems:
      return show_items(out, sequence, "dict_items([", "])", budget);
  }
}

void show_dict(std::string& out, const Dict& dict, Budget& budget) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out += ", ";
    first = false;
    show_into(out, key, budget);
    out += ": ";
    show_into(out, value, budget);
  }
  out += '}';
}

void show_scalar(std::string& out, const Value& value) {
  if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_none()) {
    out += "None";
  } else if (const bool* truth = value.as_bool()) {
    out += *truth ? "True" : "False";
  } else if (const int64_t* integer = value.as_int()) {
    out += std::to_string(*integer);
  } else if (const double* number = value.as_float()) {
    out += format_float(*number);
  }
}

void show_into(std::string& out, const Value& value, Budget& budget) {
  const DepthGuard guard(budget);
  budget.spend();
  const size_t before = out.size();
  if (const std::string* text = value.as_text()) {
    out += value.is_safe_text() ? "Markup(" + quote(*text) + ")" : quote(*text);
  } else if (const Sequence* sequence = value.as_sequence()) {
    show_sequence(out, *sequence, budget);
  } else if (const Dict* dict = value.as_dict()) {
    show_dict(out, *dict, budget);
  } else if (const Object* object = value.as_object()) {
    out += object->show(budget);
  } else {
    show_scalar(out, value);
  }
  if (value.depth() == 0) budget.spend_text(out.size() - before);
  if (out.size() > budget.limits().text_bytes) budget.spend_text(out.size());
}

}  // namespace

std::string show(const Value& value, Budget& budget) {
  std::string out;
  show_into(out, value, budget);
  return out;
}

std::string to_text(const Value& value, Budget& budget) {
  if (const std::string* text = value.as_text()) return *text;
  if (value.is_undefined()) return {};
  return show(value, budget);
}

}  // namespace assay::jinja
