#!/usr/bin/env bash
# Installs what assay builds with, on Debian 12. Sourced by the other scripts; does nothing when all is there.
set -euo pipefail

assay_packages=(g++ cmake ninja-build pkg-config python3 clang-format-14
  nlohmann-json3-dev libcli11-dev libfmt-dev libssl-dev libpcre2-dev libutf8proc-dev libzip-dev
  libyaml-cpp-dev libcurl4-openssl-dev libgtest-dev libcpp-httplib-dev)

# What opens a report in a browser, for its test; without it that test is skipped.
assay_browser_packages=(chromium chromium-driver fonts-dejavu-core)

assay_missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

# assay_install PACKAGE…: installs those of the packages that are missing, as root or through sudo.
assay_install() {
  if ! command -v apt-get >/dev/null || ! grep -qE '^VERSION_ID="?12"?$' /etc/os-release; then
    echo "assay: this script installs packages on Debian 12 only; elsewhere install these yourself and run" >&2
    echo "  cmake --preset release && cmake --build --preset release" >&2
    echo "  needed: $*" >&2
    command -v cmake >/dev/null && command -v g++ >/dev/null || exit 1
    return 0
  fi
  local missing
  missing=$(assay_missing_packages "$@")
  [ -z "$missing" ] && return 0
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "assay: not root and no sudo; as root run: apt-get install" $missing >&2; exit 1; }
    sudo="sudo"
  fi
  echo "installing: "$missing
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# assay_install_optional PACKAGE…: the same for what can be done without; never fails.
assay_install_optional() {
  [ -z "$(assay_missing_packages "$@" 2>/dev/null)" ] && return 0
  (assay_install "$@") >/dev/null 2>&1 || true
}

# assay_build PRESET [CMAKE OPTION…]: configures and builds build/PRESET.
assay_build() {
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >/dev/null
  cmake --build --preset "$preset"
}
