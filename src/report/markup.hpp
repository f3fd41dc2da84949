#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// An attribute of an element; one with an empty value is left out.
struct Attribute {
  std::string_view name;
  std::string value;
};
using Attributes = std::initializer_list<Attribute>;

/// Writes HTML and SVG. Every text and every attribute's value is escaped on its way in, bytes that are no
/// UTF-8 and control characters are replaced, so that nothing a report carries can become markup.
class Markup {
 public:
  /// Closes what it opened at the end of its scope: C++ blocks nest as the elements do.
  class Element {
   public:
    Element(Markup& markup, std::string_view name) : markup_(markup), name_(name) {}
    ~Element() { markup_.close(name_); }
    Element(const Element&) = delete;
    Element& operator=(const Element&) = delete;

   private:
    Markup& markup_;
    std::string_view name_;
  };

  /// Opens an element. `name` must outlive it: a literal.
  [[nodiscard]] Element in(std::string_view name, Attributes attributes = {});
  /// An element that holds only text.
  Markup& leaf(std::string_view name, std::string_view text, Attributes attributes = {});
  /// An element without content or end tag, such as <meta>; `self_close` for SVG's shapes.
  Markup& empty(std::string_view name, Attributes attributes = {}, bool self_close = false);
  Markup& text(std::string_view text);
  /// Appends markup that this class made, or a literal of the program. Never anything from a report.
  Markup& own(std::string_view markup);

  const std::string& str() const noexcept { return out_; }
  bool is_empty() const noexcept { return out_.empty(); }

 private:
  void open(std::string_view name, Attributes attributes);
  void close(std::string_view name);

  std::string out_;
};

/// `text` as HTML text or as the value of a quoted attribute.
std::string escape_html(std::string_view text);

}  // namespace assay
