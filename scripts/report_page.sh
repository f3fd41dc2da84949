#!/usr/bin/env bash
# Opens a report that fills every section in headless Chromium and keeps screenshots of it.
#   bash scripts/report_page.sh [BUILD]      BUILD: a build folder that holds test_report (default build/release)
# Says SKIPPED and exits 0 where Chromium and its driver cannot be had or do not start.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

build=${1:-build/release}
screenshots=build/report-screenshots
mkdir -p "$screenshots"
assay_install_optional "${assay_browser_packages[@]}"

# check ARGUMENT…: runs the checker; ends the script quietly where there is no browser.
check() {
  local code=0
  python3 scripts/report_page.py "$@" || code=$?
  [ "$code" = 3 ] && exit 0
  return "$code"
}

check --self-test
ASSAY_SAMPLE_REPORT=$screenshots "$build/test_report" --gtest_brief=1 --gtest_filter='SampleReport.*'
check "$screenshots/report.html" --screenshots "$screenshots" \
  --charts chart-quality,chart-pairs,chart-series,chart-bars,chart-tensors
echo "screenshots of the report: $screenshots"
