#include "cli/text_rows.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace assay {
namespace {

using Cells = std::vector<std::vector<std::string>>;

Cells cells_of(std::string_view bytes) {
  Cells cells;
  for (const CsvRecord& record : parse_csv(bytes, ',', "x.csv")) cells.push_back(record.cells);
  return cells;
}

std::string error_of(std::string_view bytes, TextFormat format, const TextInput& input = {}) {
  try {
    read_text_rows(bytes, format, input, "rows");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Csv, ReadsWhatRfc4180Writes) {
  EXPECT_EQ(cells_of("a,b\r\nc,d\r\n"), (Cells{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(cells_of("a,b\nc,d"), (Cells{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(cells_of("\"a,b\",\"c\"\"d\"\n"), (Cells{{"a,b", "c\"d"}}));
  EXPECT_EQ(cells_of("\"two\r\nlines\",x\n\ny,\n"), (Cells{{"two\r\nlines", "x"}, {"y", ""}}));
  EXPECT_EQ(cells_of("\"\"\n"), (Cells{{""}}));
  EXPECT_EQ(cells_of(","), (Cells{{"", ""}}));
  EXPECT_EQ(cells_of("\"a\"\r\n\"b\""), (Cells{{"a"}, {"b"}}));
  EXPECT_EQ(cells_of("a\"b,c"), (Cells{{"a\"b", "c"}}));
  EXPECT_TRUE(cells_of("").empty());
}

TEST(Csv, LinesCountThroughQuotedBreaks) {
  const auto records = parse_csv("\"a\nb\nc\"\nd\n", ',', "x.csv");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[1].line, 4U);
}

TEST(Csv, BrokenQuotesNameTheirLine) {
  EXPECT_NE(error_of("text\n\"open\nnext\n", TextFormat::kCsv).find("rows:2"), std::string::npos);
  EXPECT_NE(error_of("text\n\"a\"b\n", TextFormat::kCsv).find("behind a closing quote"), std::string::npos);
}

TEST(Csv, WhatIsWrittenReadsBack) {
  for (const char* text : {"plain", "a,b", "say \"so\"", "two\nlines", "", "\r"}) {
    const std::string row = csv_cell(text) + "," + csv_cell("z") + "\n";
    EXPECT_EQ(cells_of(row), (Cells{{text, "z"}})) << row;
  }
}

TEST(TextRows, EveryLineIsAText) {
  const auto rows = read_text_rows("\xEF\xBB\xBFone\r\n\nthree\n", TextFormat::kLines, {}, "rows");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].text, "one");
  EXPECT_EQ(rows[1].text, "");
  EXPECT_EQ(rows[2].line, 3U);
}

TEST(TextRows, JsonlFieldsAndNumbers) {
  TextInput input;
  input.field = "body";
  input.pair_field = "other";
  input.label_field = "label";
  const auto rows = read_text_rows(R"({"body": "a\nb", "other": "c", "label": 1, "id": "x7"})"
                                   "\n\n",
                                   TextFormat::kJsonl, input, "rows");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].text, "a\nb");
  EXPECT_EQ(rows[0].pair, "c");
  EXPECT_EQ(rows[0].label, "1");
  EXPECT_EQ(rows[0].id, "x7");
}

TEST(TextRows, JsonlFaultsNameTheLine) {
  EXPECT_NE(error_of("{\"text\":\"a\"}\n{\"text\":", TextFormat::kJsonl).find("rows:2"), std::string::npos);
  EXPECT_NE(error_of("{\"text\":\"a\"}\n{\"body\":\"b\"}\n", TextFormat::kJsonl).find("rows:2"),
            std::string::npos);
  EXPECT_NE(error_of("{\"text\":[1]}", TextFormat::kJsonl).find("is no text"), std::string::npos);
  EXPECT_NE(error_of("[1]", TextFormat::kJsonl).find("not a JSON object"), std::string::npos);
}

TEST(TextRows, ColumnsByNameAndNumber) {
  TextInput input;
  input.column = "2";
  EXPECT_EQ(read_text_rows("id,body\n1,hello\n", TextFormat::kCsv, input, "rows").at(0).text, "hello");
  EXPECT_EQ(read_text_rows("id\tbody\n1\t\"he\"\"y\"\n", TextFormat::kTsv, input, "rows").at(0).text,
            "he\"y");
  input.column = "body";
  input.pair_column = "id";
  EXPECT_EQ(read_text_rows("id,body\n1,hello\n", TextFormat::kCsv, input, "rows").at(0).pair, "1");
  input.column = "3";
  EXPECT_NE(error_of("id,body\n1,a\n", TextFormat::kCsv, input).find("one of: id, body"), std::string::npos);
  input.column = "body";
  EXPECT_NE(error_of("id,body\n1,a\n2,b,c\n", TextFormat::kCsv, input).find("rows:3"), std::string::npos);
}

}  // namespace
}  // namespace assay
