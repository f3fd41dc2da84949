#include "report/table.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace assay {
namespace {

TEST(Table, AlignsNumbersRightAndWordsLeft) {
  Table table({"name", "n"});
  table.add_row({"a", "1"});
  table.add_row({"longer", "100"});
  EXPECT_EQ(
      "name      n\n"
      "------  ---\n"
      "a         1\n"
      "longer  100\n",
      table.to_text());
}

TEST(Table, CountsLettersNotBytes) {
  EXPECT_EQ(4u, display_width("±é→x"));
  Table table({"x", "y"});
  table.add_row({"é", "b"});
  table.add_row({"ab", "b"});
  EXPECT_EQ("x   y\n--  -\né   b\nab  b\n", table.to_text());
}

TEST(Table, MarkdownEscapesPipesAndPadsShortRows) {
  Table table({"a", "b"});
  table.add_row({"x|y"});
  EXPECT_EQ("| a | b |\n|---|---:|\n| x\\|y |  |\n", table.to_markdown());
  EXPECT_THROW(table.add_row({"1", "2", "3"}), std::logic_error);
}

}  // namespace
}  // namespace assay
