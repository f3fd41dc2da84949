#include <fmt/format.h>

#include <charconv>
#include <span>

#include "base/sha256.hpp"
#include "report/page_assets.hpp"

namespace assay {
namespace {

/// Subjects' colours are Okabe and Ito's (jfly.uni-koeln.de/color, 2008), darkened on white until marks stand
/// out at 3:1. Text is never coloured by them. light-dark() needs a browser of 2024 or later.
constexpr std::string_view kStyle = R"css(
:root {
  color-scheme: light dark;
  --bg: light-dark(#fdfdfc, #14171b);
  --panel: light-dark(#f4f4f1, #1c2026);
  --ink: light-dark(#1c2127, #e7e9ec);
  --muted: light-dark(#59616b, #a5aeb9);
  --line: light-dark(#dfe0dc, #31373f);
  --grid: light-dark(#ebece8, #252a31);
  --accent: light-dark(#3c4ab3, #aab4ff);
  --good: light-dark(#0b6b4a, #6fd6ab);
  --bad: light-dark(#a62318, #ff9d8f);
  --heat: light-dark(#9a3300, #ff9a57);
  --s0: light-dark(#0072b2, #56a8e0);
  --s1: light-dark(#d55e00, #f08a45);
  --s2: light-dark(#008f68, #2fbf94);
  --s3: light-dark(#b4558d, #dc92bb);
  --s4: light-dark(#a87300, #e8ae36);
  --s5: light-dark(#3a8fbf, #8fcdf2);
  --s6: light-dark(#857800, #e6dc55);
  --s7: light-dark(#6b4fa3, #b7a0ea);
  --ref: light-dark(#4b525b, #c3c9d1);
  --other: light-dark(#7a828c, #8c95a0);
}
:root[data-theme=light] { color-scheme: light; }
:root[data-theme=dark] { color-scheme: dark; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); }
.ref { --c: var(--ref); } .other { --c: var(--other); }

* { box-sizing: border-box; }
html { background: var(--bg); color: var(--ink); scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 66rem;
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; margin: 0 0 .35rem; }
h2 { font-size: 1.25rem; line-height: 1.3; font-weight: 650; margin: 0 0 .6rem; }
h3 { font-size: 1rem; font-weight: 650; margin: 1.6rem 0 .5rem; }
p, ul { margin: 0 0 .8rem; max-width: 46rem; }
ul { padding-left: 1.2rem; }
li { margin-bottom: .3rem; }
h1, h2, h3, p, li, dd, figcaption, summary { overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
code, .hash { font: .85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
section { margin-top: 3.2rem; }
.muted, .note, .ci, caption { color: var(--muted); }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }

header { border-bottom: 1px solid var(--line); padding-bottom: 1.1rem; }
.top { display: flex; justify-content: space-between; align-items: flex-start; gap: 1rem; }
.facts { margin: 0; color: var(--muted); font-size: .875rem; max-width: none; overflow-wrap: anywhere; }
#theme {
  font: inherit; font-size: .875rem; color: var(--ink); background: none; cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; padding: .25rem .7rem;
}
nav { margin-top: .9rem; font-size: .875rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: 0; max-width: none; }
nav li { margin: 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }

.short { display: grid; grid-template-columns: 11rem 1fr; gap: .9rem 1.5rem; margin: 0 0 2rem; }
.short dt { font-weight: 650; }
.short dd { margin: 0; max-width: 46rem; }
.short dd p { margin: 0 0 .45rem; }

.subject { white-space: nowrap; font-weight: 550; }
.subject bdi { white-space: normal; overflow-wrap: anywhere; }
td .subject bdi { white-space: nowrap; }
.chip { width: .72em; height: .72em; margin-right: .38em; vertical-align: -.02em; }
a.num { color: inherit; text-decoration: none; font-variant-numeric: tabular-nums; }
a.num:hover .value, a.num:focus-visible .value { text-decoration: underline; text-decoration-color: var(--accent); }
.short .value { font-weight: 600; white-space: nowrap; }
.short .ci { font-size: .875em; white-space: nowrap; }
.badge {
  display: inline-block; font-size: .8125rem; line-height: 1.35; padding: .05rem .5rem; border-radius: 99px;
  border: 1px solid var(--line); color: var(--muted); white-space: nowrap;
}
.badge.good { color: var(--good); border-color: currentColor; }
.badge.bad { color: var(--bad); border-color: currentColor; }

.scroll { overflow-x: auto; margin: 0 0 1.4rem; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .5rem; font-size: .875rem; }
th, td { text-align: left; padding: .42rem .9rem .42rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; white-space: nowrap; }
td.long { min-width: 14rem; overflow-wrap: anywhere; }
th.n, td.n { text-align: right; }
td.n .value, td.n { white-space: nowrap; }
td.n .ci { display: block; font-size: .8125em; }
td.none { color: var(--muted); }
th .unit { display: block; font-weight: 400; color: var(--muted); }
th button {
  font: inherit; color: inherit; background: none; border: 0; padding: 0; margin: 0; cursor: pointer; text-align: inherit;
}
th button { position: relative; padding-right: 1em; }
th button::after { content: "\2195"; color: var(--muted); opacity: .45; position: absolute; right: 0; bottom: 0; }
th[aria-sort=ascending] button::after { content: "\2191"; opacity: 1; }
th[aria-sort=descending] button::after { content: "\2193"; opacity: 1; }
tr:target td { background: light-dark(#eceefb, #262b4a); }
.matrices { display: flex; flex-wrap: wrap; gap: 1.4rem 2.6rem; }
.matrices > *, .matrices .scroll { min-width: 0; max-width: 100%; margin: 0; }
.matrix td { padding-left: .7rem; border: 1px solid var(--bg); }
.matrix td.n { background: color-mix(in srgb, var(--c) calc(var(--share) * 45%), var(--panel)); }
.matrix td.same { font-weight: 650; }

figure { margin: 0 0 1.8rem; }
figcaption { margin: 0 0 .5rem; max-width: 46rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 44rem), 1fr)); }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
svg.chart.wide { max-width: 760px; }
svg.chart.narrow { max-width: 420px; display: none; }
svg text {
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  fill: var(--ink); font-variant-numeric: tabular-nums;
}
svg .tick { font-size: 11px; fill: var(--muted); }
svg .name { fill: var(--muted); }
svg .direct { font-weight: 550; paint-order: stroke; stroke: var(--bg); stroke-width: 3px; stroke-linejoin: round; }
svg .faint { fill: var(--muted); font-weight: 400; }
.grid { stroke: var(--grid); } .dashed { stroke-dasharray: 3 3; stroke: var(--line); }
.axis { stroke: var(--line); } .zero { stroke: var(--muted); stroke-dasharray: 2 3; }
.mark { fill: var(--c); stroke: var(--bg); stroke-width: 1; }
.mark.hollow { fill: var(--bg); stroke: var(--c); stroke-width: 1.75; }
.chip .mark { stroke: none; }
.whisker { stroke: var(--c); stroke-width: 1.75; }
.curve { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.band { fill: var(--c); opacity: .16; }
.bar { fill: var(--c); opacity: .85; } .spread { stroke: var(--ink); stroke-width: 1.5; }
.front { fill: none; stroke: var(--muted); stroke-width: 1.25; stroke-dasharray: 5 4; }
.heat { fill: var(--heat); stroke: none; }
.h0 { fill: var(--panel); stroke: var(--line); }
.h1 { fill-opacity: .12; } .h2 { fill-opacity: .25; } .h3 { fill-opacity: .39; } .h4 { fill-opacity: .53; }
.h5 { fill-opacity: .68; } .h6 { fill-opacity: .84; } .h7 { fill-opacity: 1; }

details > summary { cursor: pointer; }
details.more { margin: 0 0 1.4rem; }
details.more > summary { color: var(--accent); font-size: .9375rem; margin-bottom: .5rem; }
details.fold > summary { overflow-wrap: anywhere; }
details.fold[open] > summary { color: var(--muted); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.flip { border-top: 1px solid var(--line); padding: .7rem 0; font-size: .9375rem; max-width: 52rem; }
.flip .what { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline; margin: 0 0 .2rem; max-width: none; }
.prompt { border-left: 3px solid var(--line); padding-left: .9rem; margin: 1.6rem 0 .8rem; max-width: 52rem; }
.answers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.answer { background: var(--panel); border-radius: 8px; padding: .75rem .9rem; font-size: .9375rem; min-width: 0; }
.answer .what { display: flex; flex-wrap: wrap; gap: .25rem .6rem; align-items: baseline; margin: 0 0 .4rem; }
.card {
  position: fixed; z-index: 9; max-width: min(26rem, calc(100vw - 1rem)); white-space: pre-line; overflow-wrap: anywhere;
  background: var(--bg); color: var(--ink); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem;
  font-size: .8125rem; line-height: 1.45; box-shadow: 0 6px 24px rgb(0 0 0 / .18); pointer-events: none;
}
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem; font-size: .875rem; color: var(--muted); }

@media (max-width: 620px) {
  body { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.4rem; }
  .short { grid-template-columns: 1fr; gap: .2rem; }
  .short dd { margin-bottom: .9rem; }
  svg.chart.wide { display: none; }
  svg.chart.narrow { display: block; }
  .subject { white-space: normal; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  :root, :root[data-theme] { color-scheme: light; --bg: #fff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, #theme, .card, .skip { display: none; }
  section { margin-top: 1.8rem; }
  h2, h3, figcaption, caption { break-after: avoid; }
  figure, .flip, .answer, tr { break-inside: avoid; }
  details > summary { list-style: none; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th { white-space: normal; }
  th, td { padding-right: .6rem; }
  th button::after { content: ""; }
  .hash { overflow-wrap: anywhere; word-break: break-all; }
}
)css";

/// The digest's hexadecimal digits as standard base64, which the policy wants.
std::string base64_of_hex(std::string_view hex) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : hex) {
    uint32_t digit = 0;
    std::from_chars(&c, &c + 1, digit, 16);
    bits = bits << 4 | digit;
    held += 4;
    if (held < 6) continue;
    held -= 6;
    out += kDigits[bits >> held & 63];
  }
  if (held > 0) out += kDigits[bits << (6 - held) & 63];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

}  // namespace

std::string_view page_style() noexcept {
  return kStyle;
}

std::string page_policy() {
  const std::string digest = sha256_of(std::as_bytes(std::span(page_script())));
  return fmt::format(
      "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
      "script-src 'sha256-{}'",
      base64_of_hex(digest));
}

}  // namespace assay
