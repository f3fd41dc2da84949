#include "report/report.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/metric_facts.hpp"
#include "report/number_text.hpp"
#include "report/report_summary.hpp"
#include "report/report_view.hpp"
#include "report/sample_report.hpp"
#include "support/test_data.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
using test::sample_report;

std::string fault_of(const Json& json) {
  try {
    report_from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ReportJson, ReadsBackWhatItWrites) {
  const Json json = to_json(sample_report());
  EXPECT_EQ(json.dump(), to_json(report_from_json(json)).dump());
  EXPECT_EQ(json["schema"], kReportSchema);
}

/// Reports written before curves and matrices said what they rest on.
TEST(ReportJson, ReadsCurvesWithoutSettings) {
  Json json = to_json(sample_report());
  for (const char* list : {"series", "matrices"})
    for (Json& each : json[list])
      for (const char* member : {"n_unit", "settings", "file_sha256"}) each.erase(member);
  const Report back = report_from_json(json);
  EXPECT_EQ(back.series.size(), sample_report().series.size());
  EXPECT_TRUE(back.series[0].settings.is_null());
  EXPECT_TRUE(back.matrices[0].file_sha256.empty());
  EXPECT_FALSE(sample_report().series[0].file_sha256.empty());
}

/// Two texts: what follows from the text is no condition of its own, what does not is.
TEST(ReportView, CountsThatFollowFromTheTextAreNoConditions) {
  Report report;
  report.reference = "source";
  const auto add = [&](const char* corpus, const char* compute, int tokens) {
    report.measurements.push_back(
        {.subject = "a",
         .task = "divergence",
         .metric = "kl_mean",
         .unit = "nats/token",
         .n_unit = "documents",
         .settings = {{"compute", compute}, {"corpus", corpus}, {"tokens", tokens}}});
  };
  for (const char* compute : {"exact", "fast"}) add("one.txt", compute, 100), add("two.txt", compute, 70);
  using Names = std::vector<std::string>;
  EXPECT_EQ(metric_tables(report, "divergence")[0].conditions, (Names{"compute", "corpus"}));
  report.measurements[0].settings["tokens"] = 99;  // planted: the same text, another number
  EXPECT_EQ(metric_tables(report, "divergence")[0].conditions, (Names{"compute", "corpus", "tokens"}));
}

TEST(ReportJson, KeepsNanAndMissingBounds) {
  Report report = sample_report();
  report.measurements[0].value = std::nan("");
  report.measurements[0].low = report.measurements[0].high = std::nullopt;
  const Report back = report_from_json(to_json(report));
  EXPECT_TRUE(std::isnan(back.measurements[0].value));
  EXPECT_FALSE(back.measurements[0].low);
}

TEST(ReportJson, NamesThePlaceOfEveryFault) {
  const Json good = to_json(sample_report());
  const auto with = [&](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return fault_of(json);
  };
  const auto expect = [](const std::string& fault, const char* part) {
    EXPECT_NE(fault.find(part), std::string::npos) << fault;
    EXPECT_EQ(fault.find('\n'), std::string::npos) << fault;
  };
  expect(with("/schema", kReportSchema + 1), "newer");
  expect(with("/schema", "1"), "schema");
  expect(with("/title", 3), "title");
  expect(with("/subjects/1/bytes", -1), "subjects[1].bytes");
  expect(with("/subjects/1/bytes", 1.5), "subjects[1].bytes");
  expect(with("/subjects/1/proven", "yes"), "subjects[1].proven");
  expect(with("/measurements/2/n", 1e300), "measurements[2].n");
  expect(with("/measurements/2/value", "much"), "measurements[2]");
  expect(with("/measurements/2/file_sha256", 7), "measurements[2]");
  expect(with("/measurements/3", nullptr), "measurements[3]");
  expect(with("/comparisons/0/n_needed", 0.5), "comparisons[0].n_needed");
  expect(with("/series/0/points/0", Json::array()), "series[0].points[0]");
  expect(with("/matrices/0/counts", Json::array({Json::array({1})})), "matrices[0]");
  expect(with("/matrices/0/labels", "harmful"), "matrices[0].labels");
  expect(with("/advice/0/measurements/0", 1 << 20), "advice[0]");
  expect(with("/answers/0/flags", 1), "answers[0].flags");
  expect(fault_of(Json::array()), "object");
  expect(fault_of(Json::object()), "schema");
  for (const auto& [name, value] : good.items()) {
    Json json = good;
    json.erase(name);
    expect(fault_of(json), name.c_str());
  }
}

TEST(ReportFiles, AppearTogetherAndAreNotReplacedUnasked) {
  const test::TemporaryFolder folder;
  write_report(sample_report(), folder / "new", false);
  EXPECT_EQ(to_json(read_report(folder / "new")).dump(), to_json(sample_report()).dump());
  EXPECT_EQ(to_json(read_report(folder / "new/report.json")).dump(), to_json(sample_report()).dump());
  std::filesystem::remove(folder / "new/report.json");
  EXPECT_THROW(write_report(sample_report(), folder / "new", false), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "new/report.json"));
  write_report(sample_report(), folder / "new", true);
  EXPECT_TRUE(std::filesystem::exists(folder / "new/report.json"));
}

TEST(ReportFiles, DamagedJsonIsOneClearError) {
  const test::TemporaryFolder folder;
  const std::string whole = to_json(sample_report()).dump();
  for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string(), std::string("<html>"),
                                  std::string(100'000, '['), std::string("{\"schema\":1}")}) {
    std::ofstream(folder / "report.json") << text;
    EXPECT_THROW(read_report(folder.path()), Error) << text.substr(0, 20);
  }
}

TEST(NumberText, DecimalsFollowTheInterval) {
  EXPECT_EQ(format_number(0.0059512, 0.00581, 0.00609, "nats").line(), "0.00595 [0.00581, 0.00609] nats");
  EXPECT_EQ(format_number(0.92541, 0.9231, 0.9277, "share").line(), "92.54 % [92.31, 92.77]");
  EXPECT_EQ(format_number(1234567.8, 1.2e6, 1.3e6, "").line(), "1,234,568 [1,200,000, 1,300,000]");
  EXPECT_EQ(format_number(0.5, {}, {}, "").line(), "0.5000");
  EXPECT_EQ(format_number(-2.0, {}, {}, "").line(), "−2");
  EXPECT_EQ(format_number(2.1e-9, 2e-9, 2.2e-9, "").line(), "2.10 × 10⁻⁹ [2.00 × 10⁻⁹, 2.20 × 10⁻⁹]");
  EXPECT_EQ(format_number(std::nan(""), {}, {}, "share").line(), "–");
  EXPECT_EQ(format_number(0.25, 0.25, 0.25, "share").line(), "25 % [25, 25]");
  EXPECT_EQ(format_difference({-0.012, -0.02, -0.004, 100}, "share").line(), "−1.20 [−2.00, −0.40] points");
  EXPECT_EQ(format_difference({3.0, 1.0, 5.0, 9}, "tok/s").line(), "+3.0 [1.0, 5.0] tok/s");
}

TEST(NumberText, SizesSayGbAndGib) {
  EXPECT_EQ(format_size(4.3e9), "4.30 GB · 4.00 GiB");
  EXPECT_EQ(format_size(7'827'712), "7.83 MB · 7.47 MiB");
  EXPECT_EQ(format_size(512), "512 bytes");
  EXPECT_EQ(format_p(0.00001), "< 0.0001");
  EXPECT_EQ(format_p(0.0213), "0.021");
  EXPECT_EQ(format_p(1.0), "1.00");
}

std::string told(const Report& report) {
  std::string all;
  for (const SummaryLine& line : summarize(report))
    for (const Sentence& sentence : line.answers) {
      for (const SentencePart& part : sentence) all += part.text;
      all += "\n";
    }
  return all;
}

/// Two candidates and one pair, whose interval is [low, high].
Report duel(double low, double high) {
  Report report;
  report.reference = "source";
  report.subjects = {{.label = "source", .kind = "reference"},
                     {.label = "a", .kind = "file"},
                     {.label = "b", .kind = "file"}};
  report.comparisons = {{.task = "guard",
                         .metric = "f1",
                         .unit = "share",
                         .first = "a",
                         .second = "b",
                         .difference = {(low + high) / 2, low, high, 500},
                         .n_needed = 15680}};
  return report;
}

TEST(ReportSummary, NamesAWinnerOnlyWhereTheIntervalExcludesZero) {
  EXPECT_NE(told(duel(0.01, 0.03)).find("b is better than a"), std::string::npos);
  EXPECT_NE(told(duel(-0.03, -0.01)).find("a is better than b"), std::string::npos);
  const std::string open = told(duel(-0.01, 0.03));
  EXPECT_EQ(open.find("is better"), std::string::npos) << open;
  EXPECT_NE(open.find("no difference shown at n = 500; about 15,680 would show it"), std::string::npos)
      << open;
}

TEST(ReportSummary, LowerKlWins) {
  Report report = duel(0.01, 0.03);
  report.comparisons[0].higher_is_better = false;
  EXPECT_NE(told(report).find("a is better than b"), std::string::npos);
}

TEST(ReportView, SplitsRowsByTheSettingsThatDiffer) {
  const std::vector<MetricTable> tables = metric_tables(sample_report(), "divergence");
  ASSERT_GE(tables.size(), 2u);
  EXPECT_EQ(tables[0].conditions, std::vector<std::string>{"compute"});
  EXPECT_EQ(tables[0].rows.size(), 10u);
  for (const MetricTable::Row& row : tables[0].rows)
    for (const auto& cell : row.cells) EXPECT_TRUE(cell);
}

TEST(MetricFacts, ATaskOfAFamilyIsToldLikeIt) {
  EXPECT_EQ(task_title("guard"), "Guard: is a request or an answer harmful?");
  EXPECT_EQ(task_title("guard prompt_harm"), "Guard: prompt harm");
  EXPECT_EQ(task_order("guard prompt_harm"), task_order("guard"));
  EXPECT_EQ(task_title("some_task"), "some task");
  EXPECT_EQ(metric_fact("x", "new_metric").title, "new metric");
}

TEST(ReportView, FakeAndRefutedFilesAreNotTrusted) {
  EXPECT_FALSE(is_trusted({.label = "x", .verdict = "fake"}));
  EXPECT_FALSE(is_trusted({.label = "x", .verdict = "quantized", .proven = false}));
  EXPECT_TRUE(is_trusted({.label = "x", .verdict = "quantized", .proven = true}));
}

TEST(ReportMarkdown, EscapesWhatCouldBeMarkup) {
  Report report = sample_report();
  report.subjects[1].label = "a|b <script>alert(1)</script> `x` [l](u)\n# head";
  const std::string markdown = to_markdown(report);
  EXPECT_EQ(markdown.find("<script>"), std::string::npos);
  EXPECT_NE(markdown.find("a\\|b &lt;script&gt;"), std::string::npos);
  EXPECT_EQ(markdown.find("\n# head"), std::string::npos);
  EXPECT_NE(markdown.find("Every number and what it rests on"), std::string::npos);
}

TEST(ReportMarkdown, OneSubjectAlone) {
  Report report;
  report.title = "alone";
  report.reference = "x";
  report.subjects = {{.label = "x", .kind = "reference"}};
  EXPECT_NE(to_markdown(report).find("One model alone"), std::string::npos);
  EXPECT_EQ(to_markdown(report).find("Advice"), std::string::npos);
}

}  // namespace
}  // namespace assay
