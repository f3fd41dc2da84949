#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/markup.hpp"

namespace assay {

/// Maps [low, high] of what is shown onto [from, to] of the drawing, linearly or by the logarithm.
struct Scale {
  double low = 0.0, high = 1.0, from = 0.0, to = 1.0;
  bool logarithmic = false;

  /// Values beyond the ends land on them; NaN lands on `from`.
  double operator()(double value) const noexcept;
  /// Round numbers within [low, high], about `wanted` of them: steps of 1, 2 or 5; decades of a logarithm,
  /// with 2 and 5 between them where there are few.
  std::vector<double> ticks(int wanted) const;
};

/// A scale that begins at 0 and ends at a round number not below `most`.
Scale scale_from_zero(double most, double from, double to);
/// A linear scale whose ends are round numbers around [low, high].
Scale scale_around(double low, double high, double from, double to);
/// A logarithmic scale from the decade below `low` to the one above `high`; both must be positive.
Scale scale_decades(double low, double high, double from, double to);
/// "0.001", "20", "10⁻⁷"
std::string tick_text(double value);

enum class Anchor { kStart, kMiddle, kEnd };
enum class Mark { kCircle, kSquare, kTriangle, kDiamond, kTriangleDown, kPlus, kHexagon, kBowTie };

/// An SVG picture. Colours come from the page's style by class. Sizes are in units of the view box; the page
/// shows them as CSS pixels at most.
class Drawing {
 public:
  /// `title` names the picture and `description` tells its content to those who cannot see it.
  Drawing(const std::string& id, double width, double height, const std::string& title,
          const std::string& description, const std::string& css_class);

  void line(double x1, double y1, double x2, double y2, const std::string& css_class);
  void rect(double x, double y, double width, double height, const std::string& css_class,
            const std::string& title = "", const std::string& style = "");
  void path(const std::string& commands, const std::string& css_class);
  void label(double x, double y, std::string_view text, const std::string& css_class = "",
             Anchor anchor = Anchor::kStart);
  /// A mark of radius `radius` around the point; `title` is its tooltip.
  void mark(Mark mark, double x, double y, double radius, const std::string& css_class,
            const std::string& title = "");
  /// Light lines across [x1, x2] with their numbers to the left, for every tick of `y`; of a share in
  /// percent.
  void grid_y(const Scale& y, double x1, double x2, int wanted, bool percent = false);
  /// Numbers under the baseline, for every tick of `x`.
  void ticks_x(const Scale& x, double baseline, int wanted, bool percent = false);

  /// The finished element. Nothing may be drawn after.
  std::string take();

 private:
  Markup out_;
};

/// "12.5": a coordinate with at most one decimal; "0" for what is not finite.
std::string coordinate(double value);
/// SVG path commands of a mark.
std::string mark_path(Mark mark, double x, double y, double radius);
/// About how wide `text` is in the page's font at `size` units: there is no font to ask.
double text_width(std::string_view text, double size = 12.0) noexcept;
/// `text`, or its beginning with "…" where it is wider than `width`.
std::string fit_text(std::string_view text, double width, double size = 12.0);
/// Moves positions apart until neighbours are `gap` from each other, within [low, high] where they fit;
/// their order stays.
void spread_apart(std::vector<double>& positions, double gap, double low, double high);

}  // namespace assay
