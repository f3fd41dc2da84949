#include "report/markup.hpp"

#include "text/unicode.hpp"

namespace assay {

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text::replace_invalid_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\n':
      case '\t':
        out += c;
        break;
      default:
        // HTML forbids the other control characters, even as references.
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += "\xef\xbf\xbd";
        } else {
          out += c;
        }
    }
  }
  return out;
}

void Markup::open(std::string_view name, Attributes attributes) {
  out_ += '<';
  out_ += name;
  for (const Attribute& attribute : attributes) {
    if (attribute.value.empty()) continue;
    out_ += ' ';
    out_ += attribute.name;
    out_ += "=\"" + escape_html(attribute.value) + '"';
  }
}

void Markup::close(std::string_view name) {
  out_ += "</";
  out_ += name;
  out_ += '>';
  // A line break behind an inline element would be a space on the page.
  for (const std::string_view block :
       {"tr", "p", "li", "div", "table", "section", "figure", "details", "ul", "dd"})
    if (name == block) out_ += '\n';
}

Markup::Element Markup::in(std::string_view name, Attributes attributes) {
  open(name, attributes);
  out_ += '>';
  return Element(*this, name);
}

Markup& Markup::leaf(std::string_view name, std::string_view text, Attributes attributes) {
  open(name, attributes);
  out_ += '>' + escape_html(text) + "</";
  out_ += name;
  out_ += '>';
  return *this;
}

Markup& Markup::empty(std::string_view name, Attributes attributes, bool self_close) {
  open(name, attributes);
  out_ += self_close ? "/>" : ">";
  return *this;
}

Markup& Markup::text(std::string_view text) {
  out_ += escape_html(text);
  return *this;
}

Markup& Markup::own(std::string_view markup) {
  out_ += markup;
  return *this;
}

}  // namespace assay
