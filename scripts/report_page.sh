#!/usr/bin/env bash
# Opens a report that fills every section in headless Chromium and keeps screenshots of it.
#   bash scripts/report_page.sh [BUILD]      BUILD: a build folder that holds test_report (default build/release)
# Says SKIPPED and exits 0 where Chromium and its driver cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

build=${1:-build/release}
screenshots=build/report-screenshots
mkdir -p "$screenshots"
assay_install_optional "${assay_browser_packages[@]}"

code=0
python3 scripts/report_page.py --self-test || code=$?
[ "$code" = 3 ] && exit 0
[ "$code" = 0 ] || exit "$code"
ASSAY_SAMPLE_REPORT=$screenshots "$build/test_report" --gtest_brief=1 --gtest_filter='SampleReport.*'
python3 scripts/report_page.py "$screenshots/report.html" --screenshots "$screenshots" \
  --charts chart-quality,chart-pairs,chart-series,chart-bars,chart-tensors
echo "screenshots of the report: $screenshots"
