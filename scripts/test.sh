#!/usr/bin/env bash
# Everything that must hold before a change lands: layout, format, warnings, tests, sanitizers, peers.
#   bash scripts/test.sh             all of it
#   bash scripts/test.sh --no-peers  without what PyPI is needed for: other tools to compare with, a real encoder
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

peers=yes
for argument in "$@"; do
  case "$argument" in
    --no-peers) peers=no ;;
    *) echo "usage: scripts/test.sh [--no-peers]" >&2; exit 2 ;;
  esac
done

step() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }

step "packages"
assay_install "${assay_packages[@]}"

step "the direction of #includes"
python3 scripts/check_includes.py --self-test
python3 scripts/check_includes.py

step "formatting"
git ls-files '*.cpp' '*.hpp' '*.inl' | xargs clang-format-14 --dry-run --Werror

step "build, warnings are errors"
assay_build release -DASSAY_TESTS=ON
step "tests"
ctest --preset release -j "$(nproc)"

step "the report in a browser"
bash scripts/report_page.sh build/release

step "build with AddressSanitizer and UndefinedBehaviorSanitizer"
assay_build asan-ubsan -DASSAY_TESTS=ON -DASSAY_PCH=ON
step "tests under the sanitizers"
ctest --preset asan-ubsan -j "$(nproc)"

if [ "$peers" = yes ]; then
  step "peers (quick)"
  bash scripts/peers.sh --quick
  step "a real encoder"
  bash scripts/encoders_real.sh
fi
step "all passed"
