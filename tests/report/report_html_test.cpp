#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "report/charts.hpp"
#include "report/drawing.hpp"
#include "report/markup.hpp"
#include "report/page_assets.hpp"
#include "report/report.hpp"
#include "report/sample_report.hpp"
#include "text/unicode.hpp"

namespace assay {
namespace {

using test::sample_report;

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Every text a report carries, replaced.
Report poisoned(const std::string& text) {
  Report r = sample_report();
  r.title = r.created = r.tool_version = text;
  r.machine = {{text, text}};
  for (Subject& s : r.subjects) {
    const bool reference = s.label == r.reference;
    s.label += text, s.kind += text, s.path = s.sha256 = s.recipe = s.verdict = text;
    if (reference) r.reference = s.label;
    for (TensorFact& t : s.tensors) t.name += text, t.role += text, t.format += text;
  }
  for (Measurement& m : r.measurements) {
    m.subject += text, m.metric += text, m.unit += text, m.n_unit += text, m.file_sha256 += text;
    m.settings[text] = text;
  }
  for (PairedComparison& c : r.comparisons)
    c.first += text, c.second += text, c.metric += text, c.unit += text;
  for (Series& s : r.series) {
    s.subject += text, s.x_name += text, s.unit += text, s.n_unit += text, s.file_sha256 += text;
    s.settings[text] = text;
    for (Series::Point& p : s.points) p.label += text;
  }
  for (ConfusionMatrix& m : r.matrices) {
    m.subject += text, m.dataset += text, m.file_sha256 += text;
    m.settings[text] = text;
    for (std::string& label : m.labels) label += text;
  }
  for (Flip& f : r.flips)
    f.subject += text, f.id += text, f.text += text, f.truth += text, f.candidate += text;
  for (SampleAnswer& a : r.answers) {
    a.subject += text, a.prompt += text, a.text += text, a.category += text, a.finish_reason += text;
    a.flags.push_back(text);
  }
  for (Advice& a : r.advice) a.text += text;
  for (std::string& note : r.notes) note += text;
  return r;
}

TEST(ReportHtml, NothingInAReportBecomesMarkup) {
  const std::string plain = to_html(sample_report());
  for (const std::string text :
       {"</script><script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg onload=alert(1)>",
        "</title></svg></style><b>", "<!--", "]]>", "&lt;i&gt;"}) {
    const std::string html = to_html(poisoned(text));
    EXPECT_EQ(html.find(text == "&lt;i&gt;" ? "<i>" : text), std::string::npos) << text;
    EXPECT_EQ(count(html, "<script"), count(plain, "<script")) << text;
    EXPECT_EQ(count(html, "<style"), count(plain, "<style")) << text;
    EXPECT_EQ(count(html, "<img"), 0u) << text;
    EXPECT_EQ(count(html, "<!--"), 0u) << text;
  }
}

TEST(ReportHtml, BytesThatAreNoTextAreReplaced) {
  const std::string html = to_html(poisoned(std::string("a\xff\xc3(\xe2\x28\xa1\0\x1b[31m\xed\xa0\x80", 17)));
  EXPECT_TRUE(text::is_valid_utf8(html));
  for (const char c : html) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
}

TEST(ReportHtml, FetchesNothing) {
  const std::string html = to_html(sample_report());
  // Addresses stand in it as text; none stands where a browser would follow it by itself.
  for (const char* part : {"src=\"", "url(", "@import", "<link rel=\"stylesheet", "<iframe", "http://www"})
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  EXPECT_NE(html.find("default-src &#39;none&#39;"), std::string::npos);
  EXPECT_NE(page_policy().find("'sha256-"), std::string::npos);
}

TEST(ReportHtml, EveryMeasurementHasItsRow) {
  const Report report = sample_report();
  const std::string html = to_html(report);
  for (size_t i = 0; i < report.measurements.size(); ++i)
    EXPECT_EQ(count(html, "<tr id=\"m" + std::to_string(i) + "\">"), 1u) << i;
  EXPECT_NE(html.find(report.subjects[1].sha256), std::string::npos);
}

/// Numbers without a row of their own say the same behind a fold: n, settings and the file's hash.
TEST(ReportHtml, CurvesMatricesAndTensorErrorsSayWhatTheyRestOn) {
  Report report = sample_report();
  const size_t curves = report.series.size(), matrices = report.matrices.size();
  const std::string html = to_html(report);
  EXPECT_EQ(count(html, "s numbers rest on"), curves);
  EXPECT_EQ(count(html, "What these counts rest on"), matrices);
  EXPECT_GE(count(html, "s errors rest on"), 1u);
  const std::string hash = report.series[0].file_sha256;
  const size_t with = count(html, hash);
  for (Series& series : report.series) series.file_sha256.clear(), series.settings = {};
  EXPECT_LT(count(to_html(report), hash), with) << "planted: curves of no file";
}

TEST(ReportHtml, EmptySectionsVanish) {
  Report report;
  report.title = "alone";
  report.reference = "x";
  report.subjects = {{.label = "x", .kind = "reference", .bytes = 1000}};
  const std::string html = to_html(report);
  EXPECT_NE(html.find("id=\"summary\""), std::string::npos);
  for (const char* id :
       {"advice", "quality", "pairs", "matrices", "flips", "tensors", "speed", "answers", "notes", "numbers"})
    EXPECT_EQ(html.find("id=\"" + std::string(id) + "\""), std::string::npos) << id;
  EXPECT_EQ(html.find("<svg id="), std::string::npos);
  EXPECT_NE(to_html(Report{}).find("</html>"), std::string::npos);
}

TEST(ReportHtml, DrawsWhateverTheNumbersAre) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double value : {std::nan(""), kInfinity, -kInfinity, 0.0, -1.0, 1e308, 1e-308}) {
    Report report = sample_report();
    for (Measurement& m : report.measurements) m.value = value, m.low = std::nullopt, m.high = value;
    for (PairedComparison& c : report.comparisons) c.difference = {value, -kInfinity, kInfinity, 0};
    for (Series& s : report.series)
      for (Series::Point& p : s.points) p.y = value, p.low = -kInfinity, p.high = std::nullopt;
    for (Subject& s : report.subjects)
      for (TensorFact& t : s.tensors) t.relative_error = value, t.bits_per_weight = value;
    const std::string html = to_html(report);
    EXPECT_EQ(html.find("=\"nan"), std::string::npos) << value;
    EXPECT_EQ(html.find("=\"inf"), std::string::npos) << value;
    EXPECT_EQ(html.find("=\"-inf"), std::string::npos) << value;
    EXPECT_FALSE(to_markdown(report).empty());
  }
}

TEST(ReportHtml, RefersToNothingThatIsMissing) {
  Report report = sample_report();
  report.advice[0].measurements.push_back(report.measurements.size() + 5);
  report.measurements[0].subject = "nobody";
  report.matrices[0].counts.pop_back();
  report.matrices[1].counts[0].push_back(7);
  report.matrices[2].unparsed = {1};
  EXPECT_NE(to_html(report).find("nobody"), std::string::npos);
  EXPECT_FALSE(to_markdown(report).empty());
}

TEST(ReportCharts, ParetoFrontHoldsWhatNothingBeats) {
  const Report report = sample_report();
  const std::vector<QualityChart> charts = quality_charts(report);
  ASSERT_FALSE(charts.empty());
  EXPECT_TRUE(charts[0].logarithmic);
  std::vector<std::string> names;
  for (const size_t i : pareto_front(report, charts[0]))
    names.push_back(report.measurements[charts[0].points[i].measurement].subject);
  // mlx:8bit is smaller than gguf:Q8_0 by a hair, which lies closer; the fake file is closest and largest.
  EXPECT_EQ(names, (std::vector<std::string>{"mlx:4bit", "gguf:Q4_K_M", "mlx:8bit", "gguf:Q8_0",
                                             "theirs-q4.safetensors"}));
}

TEST(ReportCharts, AFileThatIsLargerAndWorseIsNotOnTheFront) {
  Report report = sample_report();
  for (Measurement& m : report.measurements)
    if (m.subject == "gguf:Q4_K_M" && m.metric == "kl_mean") m.value = 0.5;
  for (const size_t i : pareto_front(report, quality_charts(report)[0]))
    EXPECT_NE(report.measurements[quality_charts(report)[0].points[i].measurement].subject, "gguf:Q4_K_M");
}

TEST(ReportCharts, LayersStandBetweenDots) {
  EXPECT_EQ(layer_of("model.layers.3.self_attn.q_proj.weight"), 3);
  EXPECT_EQ(layer_of("blk.27.ffn_down.weight"), 27);
  EXPECT_FALSE(layer_of("model.embed_tokens.weight"));
  EXPECT_FALSE(layer_of("a.99999999999999999999.b"));
  EXPECT_FALSE(layer_of(""));
}

TEST(Drawing, TicksAreRoundAndWithin) {
  const Scale linear = scale_from_zero(0.87, 0, 100);
  EXPECT_EQ(linear.high, 1.0);
  for (const double tick : linear.ticks(5)) EXPECT_TRUE(tick >= 0 && tick <= 1.0 + 1e-9);
  const Scale decades = scale_decades(3e-6, 0.02, 100, 0);
  EXPECT_NEAR(decades.low, 1e-6, 1e-12);
  EXPECT_NEAR(decades.high, 0.1, 1e-9);
  EXPECT_NEAR(decades(1e-6), 100, 1e-9);
  EXPECT_NEAR(decades(0.1), 0, 1e-9);
  EXPECT_EQ(decades(0.0), 100);
  EXPECT_EQ(tick_text(1e-7), "10⁻⁷");
  EXPECT_EQ(tick_text(-0.05), "−0.05");
  EXPECT_EQ(coordinate(std::nan("")), "0");
}

TEST(Drawing, NamesAreSpreadApartInOrder) {
  std::vector<double> positions = {50, 52, 51, 99};
  spread_apart(positions, 10, 0, 100);
  EXPECT_LT(positions[0] + 9.99, positions[2]);
  EXPECT_LT(positions[2] + 9.99, positions[1]);
  EXPECT_LE(positions[3], 100);
}

TEST(Drawing, FitsTextInWholeLetters) {
  EXPECT_EQ(fit_text("short", 100), "short");
  const std::string cut = fit_text("äöüäöüäöüäöüäöü", 40);
  EXPECT_TRUE(cut.ends_with("…"));
  EXPECT_TRUE(text::is_valid_utf8(cut));
  EXPECT_LT(fit_text(std::string(1 << 20, 'x'), 50).size(), 60u);
}

/// For scripts/report_page.sh, which opens the page in a browser.
TEST(SampleReport, IsWrittenWhereAsked) {
  const char* folder = std::getenv("ASSAY_SAMPLE_REPORT");
  if (folder == nullptr) GTEST_SKIP() << "ASSAY_SAMPLE_REPORT names no folder";
  write_report(sample_report(), folder, true);
}

}  // namespace
}  // namespace assay
