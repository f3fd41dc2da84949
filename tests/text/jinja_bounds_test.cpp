#include <chrono>

#include "base/file.hpp"
#include "base/rng.hpp"
#include "support/test_data.hpp"
#include "text/jinja_template.hpp"

// Untrusted templates: what they may not do, what they may not cost, and random damage.
namespace assay::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string render(const std::string& source, const Limits& limits = {}) {
  return Template(source).render(Json::object(), limits);
}

std::string failure_of(const std::string& source, const Limits& limits = {}) {
  try {
    render(source, limits);
  } catch (const Failure& failure) {
    return failure.message;
  }
  return "no failure";
}

bool mentions(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

/// Bounds a test reaches quickly, also under sanitizers.
Limits small() {
  Limits limits;
  limits.steps = 200'000;
  limits.text_bytes = 1 << 20;
  return limits;
}

TEST(JinjaSandbox, HidesWhatChangesValues) {
  EXPECT_EQ(render("{% set l = [1] %}{{ l.append }}|{{ {}.update }}"), "|");
  EXPECT_TRUE(mentions(failure_of("{% set l = [1] %}{{ l.append(2) }}"), "unsafe"));
  EXPECT_TRUE(mentions(failure_of("{% set d = {} %}{{ d.pop('x') }}"), "unsafe"));
  EXPECT_TRUE(mentions(failure_of("{{ ''.__class__.mro() }}"), "unsafe"));
  EXPECT_TRUE(mentions(failure_of("{{ ''['__class__']['x'] }}"), "unsafe"));
  EXPECT_TRUE(mentions(failure_of("{% set ns = namespace() %}{% set ns._x = 1 %}"), "private"));
  EXPECT_EQ(render("{{ {'_own': 1}._own }}"), "1");
}

TEST(JinjaSandbox, RefusesOtherTemplates) {
  for (const char* tag : {"include 'x'", "import 'x' as y", "from 'x' import y", "extends 'x'"}) {
    EXPECT_TRUE(mentions(failure_of(std::string("{% ") + tag + " %}"), "refused")) << tag;
  }
}

TEST(JinjaBounds, Steps) {
  const std::string loop =
      "{% for a in range(1000) %}{% for b in range(1000) %}{{ b }}{% endfor %}{% endfor %}";
  EXPECT_TRUE(mentions(failure_of(loop, small()), "200000 steps"));
  EXPECT_EQ(failure_of("{% for a in range(1000) %}{{ a }}{% endfor %}", small()), "no failure");
  EXPECT_TRUE(mentions(failure_of("{{ range(100001) }}"), "Range too big"));
}

TEST(JinjaBounds, Text) {
  for (const char* expression :
       {"'x' * 2000000", "'x'.ljust(99999999)", "'x'|center(99999999)", "'%99999999d' % 1",
        "'{:>99999999}'.format(1)", "'x'|indent(99999999, true)", "('x' * 1000)|replace('', 'y' * 1100)",
        "(['x' * 1000] * 1200)|join", "('x' * 600000) ~ ('x' * 600000)", "[1]|tojson(indent=99999999)",
        "'1'.zfill(99999999)"}) {
    const std::string message = failure_of(std::string("{{ ") + expression + " }}", small());
    EXPECT_TRUE(mentions(message, "bytes") || mentions(message, "steps")) << expression << ": " << message;
  }
}

TEST(JinjaBounds, Depth) {
  EXPECT_TRUE(
      mentions(failure_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "levels of evaluation"));
  const std::string nest = "{% set ns = namespace(v=[]) %}{% for i in range(1000) %}{% set ns.v = ";
  EXPECT_TRUE(mentions(failure_of(nest + "[ns.v] %}{% endfor %}"), "levels deep"));
  EXPECT_TRUE(mentions(failure_of(nest + "{'k': ns.v} %}{% endfor %}"), "levels deep"));
  EXPECT_TRUE(mentions(failure_of(nest + "[1]|map('string')|map('upper') %}{% endfor %}"), "no failure"));
  EXPECT_TRUE(mentions(failure_of(nest + "(ns.v or [1])|map('string') %}{% endfor %}"), "levels deep"));
  EXPECT_TRUE(
      mentions(failure_of("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}"), "nests"));
  EXPECT_TRUE(mentions(failure_of("{{ " + std::string(5000, '-') + "1 }}"), "nests"));
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += " + 1";
  EXPECT_TRUE(mentions(failure_of(sum + " }}"), "nests"));
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if true %}";
  EXPECT_TRUE(mentions(failure_of(blocks), "nests"));
  Json deep = Json::array();
  for (int i = 0; i < 1000; ++i) deep = Json::array({deep});
  EXPECT_THROW(Template("x").render({{"v", deep}}), Failure);
}

TEST(JinjaBounds, CyclesDoNotLeakOrRecurse) {
  // Leaks show under the address sanitizer.
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}ok"), "ok");
  EXPECT_TRUE(mentions(failure_of("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), "levels"));
  EXPECT_EQ(render("{% macro m() %}{% endmacro %}{% set ns = namespace(f=m) %}{% set ns.l = [ns, m] %}ok"),
            "ok");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.l = loop %}"
                   "{{ loop.changed(loop) }}{% endfor %}"),
            "TrueFalse");
  const std::string chain =
      "{% set ns = namespace() %}{% set ns.at = namespace() %}{% for i in range(20000) %}"
      "{% set n = namespace() %}{% set at = ns.at %}{% set at.next = n %}{% set ns.at = n %}{% endfor %}ok";
  EXPECT_EQ(render(chain), "ok");
}

TEST(JinjaBounds, IntegersStayWithin64Bits) {
  EXPECT_TRUE(mentions(failure_of("{{ 9223372036854775807 + 1 }}"), "64 bits"));
  EXPECT_TRUE(mentions(failure_of("{{ 2 ** 64 }}"), "64 bits"));
  EXPECT_TRUE(mentions(failure_of("{{ 9223372036854775808 }}"), "64 bits"));
  EXPECT_TRUE(mentions(failure_of("{{ (-9223372036854775807 - 1) // -1 }}"), "64 bits"));
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_THROW(Template("x").render({{"v", 18446744073709551615ull}}), Failure);
}

TEST(JinjaBounds, SlowSearchesAreLinear) {
  const auto start = std::chrono::steady_clock::now();
  render(
      "{% set t = 'a' * 1000000 %}{% set n = 'a' * 500000 ~ 'b' %}"
      "{{ n in t }}{{ t.find(n) }}{{ t.rfind('b' ~ 'a' * 500000) }}{{ t.count(n) }}{{ t.split(n)|length }}");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 10);  // a quadratic search takes minutes
}

/// One random edit: a byte changed, a span dropped or doubled, or a piece of syntax put in.
void damage(std::string& text, Rng& rng) {
  static constexpr const char* kPieces[] = {"{{",   "}}",   "{%",   "%}",   "{#",
                                            "-%}",  "{%-",  "(",    ")",    "[",
                                            "]",    "|",    ".",    "'",    "\"",
                                            "\\",   " is ", " if ", " in ", "**",
                                            "//",   "~",    ",",    ":",    "9223372036854775807",
                                            "loop", "ns",   "\xff", "\n"};
  const size_t at = text.empty() ? 0 : rng.below(text.size());
  const size_t length = std::min<size_t>(rng.below(12) + 1, text.size() - at);
  switch (rng.below(4)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(rng.below(256));
      break;
    case 1:
      text.erase(at, length);
      break;
    case 2:
      text.insert(at, text.substr(at, length));
      break;
    default:
      text.insert(at, kPieces[rng.below(std::size(kPieces))]);
  }
}

TEST(JinjaFuzz, DamagedTemplatesRenderOrFail) {
  const auto folder = test::source_file("tests/golden/templates");
  const Json values = Json::parse(read_text_file(folder / "values.json"));
  Rng rng(7);
  int rendered = 0;
  int failed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string source = read_text_file(entry.path());
    for (int round = 0; round < 300; ++round) {
      std::string damaged = source;
      for (uint64_t edits = rng.below(3) + 1; edits > 0; --edits) damage(damaged, rng);
      try {
        Template(damaged).render(values, small());
        ++rendered;
      } catch (const Failure&) {
        ++failed;
      }
    }
  }
  EXPECT_GT(rendered, 100);
  EXPECT_GT(failed, 100);
}

TEST(JinjaFuzz, RandomExpressionsRenderOrFail) {
  const auto folder = test::source_file("tests/golden/templates");
  const Json values = Json::parse(read_text_file(folder / "values.json"));
  Rng rng(11);
  for (const auto& row : Json::parse(read_text_file(folder / "expressions.json"))) {
    std::string damaged = row[0];
    damage(damaged, rng);
    try {
      Template(damaged).render(values, small());
    } catch (const Failure&) {
    }
  }
}

}  // namespace
}  // namespace assay::jinja
