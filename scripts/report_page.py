#!/usr/bin/env python3
"""Opens report.html in headless Chromium and holds it to what a report promises.

    report_page.py PAGE.html [--screenshots FOLDER] [--charts PREFIX,…]
    report_page.py --self-test        plants one fault after the other; each must be found

Nothing on the console, nothing fetched, every chart named by --charts drawn with a title and visible, tables
sorted by a click and by the keyboard, both themes readable (contrast 4.5 of every text), no sideways scroll
at 320 px, everything in print. Screenshots of each theme, of a phone and of print are kept in the folder.
Exits 1 naming what fails, 3 where there is no Chromium with its driver.
"""
import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

# Contrast of every text against what lies under it, by WCAG 2's formula.
CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3]));
const light = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const under = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const faint = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || ['SCRIPT', 'STYLE', 'title', 'desc'].includes(element.tagName)) continue;
  if (!element.checkVisibility || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const paint = element.namespaceURI.endsWith('svg') ? style.fill : style.color;
  const below = under(element);
  const front = over(rgba(paint), below);
  const [high, low] = [light(front), light(below)].sort((a, b) => b - a);
  const contrast = (high + 0.05) / (low + 0.05);
  if (contrast < 4.5) faint.push(element.textContent.trim().slice(0, 30) + ' ' + contrast.toFixed(2));
}
return faint;
"""

SORT = """
const table = document.querySelector('table.sortable');
if (!table) return ['no sortable table'];
const faults = [];
const header = [...table.tHead.rows[0].cells].find((cell) => cell.querySelector('button') && cell.classList.contains('n'));
if (!header) return ['no header to press'];
const column = header.cellIndex;
const keys = () => [...table.tBodies[0].rows].map((row) => row.cells[column])
  .filter((cell) => !cell.classList.contains('none'))
  .map((cell) => Number(cell.dataset.sort === undefined ? cell.textContent : cell.dataset.sort));
const sorted = (list, sign) => list.every((key, i) => i === 0 || sign * (key - list[i - 1]) >= 0);
for (const [sign, name] of [[1, 'ascending'], [-1, 'descending']]) {
  header.querySelector('button').click();
  if (header.getAttribute('aria-sort') !== name) faults.push('aria-sort is not ' + name);
  if (!sorted(keys(), sign)) faults.push('not ' + name + ': ' + keys());
}
header.querySelector('button').focus();
if (document.activeElement !== header.querySelector('button')) faults.push('a header takes no focus');
return faults;
"""


class Driver:
    """A browser behind chromedriver's WebDriver protocol."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="assay-chromium-")
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        self.session = None
        try:
            self.open_session()
        except Exception:
            self.process.terminate()
            raise

    def open_session(self):
        self.address = f"http://127.0.0.1:{self.find_port()}"
        browser = next(path for name in CHROMIUM if (path := shutil.which(name)))
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", f"--user-data-dir={self.folder.name}", "--window-size=1200,900"]
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"binary": browser, "args": arguments}}}})
        self.session = answer["sessionId"]

    def find_port(self):
        for line in self.process.stdout:
            if "started successfully on port" in line:
                return int(line.rstrip(" .\n").rsplit(" ", 1)[1])
        raise RuntimeError("chromedriver does not start")

    def call(self, method, path, body=None):
        where = self.address + (f"/session/{self.session}" if self.session else "") + path
        request = urllib.request.Request(where, method=method, headers={"Content-Type": "application/json"},
                                         data=json.dumps(body).encode() if body is not None else None)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from error

    def command(self, name, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def logs(self, kind):
        return self.call("POST", "/se/log", {"type": kind})

    def close(self):
        try:
            if self.session:
                self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()
            self.folder.cleanup()


def fetched(driver, page):
    """Everything the page asked for besides itself."""
    found = set()
    for entry in driver.logs("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent" and event["params"]["documentURL"] == page:
            found.add(event["params"]["request"]["url"])
    return sorted(url for url in found - {page} if not url.startswith("data:"))


def view(driver, width, height, theme, media="screen"):
    driver.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                   mobile=width < 600)
    driver.command("Emulation.setEmulatedMedia", media=media,
                   features=[{"name": "prefers-color-scheme", "value": theme}])
    time.sleep(0.2)


def keep_screenshot(driver, path, beyond=True):
    shot = driver.command("Page.captureScreenshot", format="png", captureBeyondViewport=beyond)
    path.write_bytes(base64.b64decode(shot["data"]))


def check_charts(driver, prefixes):
    charts = driver.run("""
        return [...document.querySelectorAll('svg.chart')].map((svg) => ({
          id: svg.id, title: (svg.querySelector('title') || {}).textContent || '',
          desc: (svg.querySelector('desc') || {}).textContent || '',
          marks: svg.querySelectorAll('path, rect, line').length,
          broken: svg.innerHTML.includes('NaN') || svg.innerHTML.includes('="inf'),
          height: svg.getBoundingClientRect().height }));""")
    for chart in charts:
        name = chart["id"] or "a chart"
        if not chart["id"] or not chart["title"] or not chart["desc"]:
            yield f"{name} has no id, title or description"
        if chart["marks"] < 2 or chart["broken"]:
            yield f"{name} is empty or has coordinates that are no numbers"
        if not name.endswith("-narrow") and chart["height"] < 40:
            yield f"{name} is not to be seen"
    ids = [chart["id"] for chart in charts]
    if len(ids) != len(set(ids)):
        yield "two charts share an id"
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in ids):
            yield f"no chart {prefix}…"


def check_page(driver, page, screenshots, prefixes):
    """Yields one line of text for each promise that the page breaks."""
    driver.logs("browser"), driver.logs("performance")
    view(driver, 1200, 900, "light")
    address = page.resolve().as_uri()
    driver.call("POST", "/url", {"url": address})
    time.sleep(0.3)
    yield from (f"fetches {url}" for url in fetched(driver, address))
    yield from check_charts(driver, prefixes)
    ids = driver.run("return [...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, i, all) => "
                     "all.indexOf(id) !== i)")
    yield from (f"two elements have the id {name}" for name in ids)
    dead = driver.run("return [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href'))"
                      ".filter((href) => !document.getElementById(href.slice(1)))")
    yield from (f"a link leads nowhere: {href}" for href in sorted(set(dead)))
    if driver.run("return document.querySelectorAll('table').length !== "
                  "document.querySelectorAll('table > caption').length"):
        yield "a table has no caption"
    for theme in ("light", "dark"):
        view(driver, 1200, 900, theme)
        yield from (f"too faint in the {theme} theme: {text}" for text in driver.run(CONTRAST)[:5])
        if screenshots:
            keep_screenshot(driver, screenshots / f"{theme}.png")
    if driver.run("document.getElementById('theme').click(); return document.documentElement.dataset.theme") != "light":
        yield "the switch does not change the theme"
    for theme in ("light", "dark"):
        view(driver, 320, 640, theme)
        wide = driver.run("return document.documentElement.scrollWidth")
        if wide > 320:
            yield f"scrolls sideways on a phone: {wide} px wide"
        if screenshots and theme == "light":
            keep_screenshot(driver, screenshots / "phone.png")
    view(driver, 1200, 900, "light")
    yield from driver.run(SORT)
    view(driver, 800, 1100, "light", media="print")
    hidden = driver.run("return [...document.querySelectorAll('details > :not(summary)')]"
                        ".filter((e) => !e.checkVisibility() || e.getBoundingClientRect().height === 0).length")
    if hidden:
        yield f"{hidden} folded parts are missing in print"
    if screenshots:
        keep_screenshot(driver, screenshots / "print.png")
        paper = driver.command("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        (screenshots / "print.pdf").write_bytes(base64.b64decode(paper["data"]))
    yield from (f"console: {entry['message']}" for entry in driver.logs("browser")
                if entry["level"] in ("SEVERE", "WARNING"))


def without_script(driver, page):
    """The page says all it has to say without its script."""
    driver.command("Emulation.setScriptExecutionDisabled", value=True)
    driver.call("POST", "/url", {"url": page.resolve().as_uri()})
    tree = driver.command("DOMSnapshot.captureSnapshot", computedStyles=[])
    driver.command("Emulation.setScriptExecutionDisabled", value=False)
    strings = tree["strings"]
    return [] if any("<" not in text and "In short" in text for text in strings) else ["is empty without its script"]


PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>t</title>
<meta name="viewport" content="width=device-width"><style>body{{margin:0;background:#fff;color:{colour}}}
@media print {{ details::details-content {{ content-visibility: {printed}; display:block; block-size:auto }} }}
</style></head><body><button id="theme">In short</button>{extra}
<svg class="chart" id="chart-a" width="200" height="80"><title>{title}</title><desc>d</desc>
<rect width="9" height="9"/><line x1="{x}" x2="9" y1="0" y2="9"/></svg>
<details><summary>s</summary><p>folded</p></details>
<table class="sortable"><caption>c</caption><thead><tr><th class="n"><button>n</button></th></tr></thead>
<tbody><tr><td>2</td></tr><tr><td>10</td></tr><tr><td>1</td></tr></tbody></table>
<script>document.getElementById('theme').onclick = () => {{ document.documentElement.dataset.theme = '{theme}'; }};
const th = document.querySelector('th');
th.querySelector('button').onclick = () => {{
  const down = th.getAttribute('aria-sort') === 'ascending';
  th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const rows = [...document.querySelector('tbody').rows];
  rows.sort((a, b) => {order});
  document.querySelector('tbody').append(...rows);
}};{script}</script></body></html>"""
GOOD = {"extra": "", "title": "t", "x": "1", "theme": "light", "script": "", "colour": "#222", "printed": "visible",
        "order": "(down ? -1 : 1) * (a.textContent - b.textContent)"}
FAULTS = {
    "console": {"script": "console.error('planted');"},
    "fetches": {"extra": '<img alt="" src="http://127.0.0.1:9/planted.png">'},
    "no id, title": {"title": ""},
    "no chart": {"extra": "<!-- -->"},
    "no numbers": {"x": "NaN"},
    "faint": {"colour": "#999"},
    "sideways": {"extra": '<div style="width:500px">wide</div>'},
    "switch": {"theme": "none"},
    "ascending": {"order": "String(a.textContent).localeCompare(b.textContent)"},
    "print": {"printed": "hidden"},
    "nowhere": {"extra": '<a href="#planted">x</a>'},
    "two elements": {"extra": '<i id="theme"></i>'},
    "caption": {"extra": "<table><tr><td>1</td></tr></table>"},
}


def self_test(driver):
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.html"
        page.write_text(PAGE.format(**GOOD))
        faults = list(check_page(driver, page, None, ["chart-a"])) + without_script(driver, page)
        assert not faults, faults
        for expected, change in FAULTS.items():
            page.write_text(PAGE.format(**{**GOOD, **change}))
            wanted = ["chart-b"] if expected == "no chart" else ["chart-a"]
            faults = list(check_page(driver, page, None, wanted))
            assert any(expected in fault for fault in faults), (expected, faults)
    print(f"{len(FAULTS)} planted faults found")


def start_driver():
    """A browser, or None, with the reason told: where none runs there is nothing to test with."""
    for attempt in (1, 2):
        try:
            return Driver()
        except (RuntimeError, OSError) as error:
            reason = error
    print(f"SKIPPED: the browser does not start: {reason}", file=sys.stderr)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=pathlib.Path, nargs="?")
    parser.add_argument("--screenshots", type=pathlib.Path)
    parser.add_argument("--charts", default="", help="beginnings of ids, separated by commas")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if not shutil.which("chromedriver") or not any(map(shutil.which, CHROMIUM)):
        print("SKIPPED: no chromium with chromedriver", file=sys.stderr)
        return 3
    driver = start_driver()
    if driver is None:
        return 3
    try:
        if options.self_test:
            self_test(driver)
            return 0
        if options.screenshots:
            os.makedirs(options.screenshots, exist_ok=True)
        prefixes = [prefix for prefix in options.charts.split(",") if prefix]
        faults = list(check_page(driver, options.page, options.screenshots, prefixes))
        faults += without_script(driver, options.page)
    finally:
        driver.close()
    for fault in faults:
        print(f"{options.page}: {fault}")
    print(f"{options.page}: {len(faults)} faults" if faults else f"{options.page}: as promised in Chromium")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
