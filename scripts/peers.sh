#!/usr/bin/env bash
# Compares assay with its peers: gguf-py, mlx-lm and (full mode) stock llama.cpp.
#
#   bash scripts/peers.sh [--quick] [DIR]
#
# DIR (default build/peers) receives everything that is installed or written. --quick needs wheels only
# and leaves llama.cpp out; its table goes to DIR/peers-quick.md. The full run writes docs/peers.md.
# Exit status: 0 all agree, 1 a disagreement or a failed set-up, 2 wrong usage.
#
#   ASSAY=/path/to/assay          compare this binary instead of building build/release/assay
#   ASSAY_DATA=/path              folder of real checkpoints (models/TinyStories-656K is used when there)
#   ASSAY_TORCH_PYTHON=/path      python with torch and transformers: also run llama.cpp's own converter
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
QUICK=0
DIR=
for arg in "$@"; do
  case "$arg" in
    --quick) QUICK=1 ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "peers.sh: unknown option $arg (known: --quick)" >&2; exit 2 ;;
    *) if [ -n "$DIR" ]; then echo "peers.sh: one DIR only, got '$DIR' and '$arg'" >&2; exit 2; fi; DIR=$arg ;;
  esac
done
DIR=${DIR:-$ROOT/build/peers}
mkdir -p "$DIR"
DIR=$(cd "$DIR" && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1
# shellcheck source-path=SCRIPTDIR source=setup.sh
source "$ROOT/scripts/setup.sh"

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'peers.sh: %s\n' "$*" >&2; exit 1; }

# Packages are installed only where a probe says that something is missing.
ensure_system() {
  local missing=()
  { command -v python3 && python3 -c 'import ensurepip, venv'; } > /dev/null 2>&1 ||
    missing+=(python3 python3-venv ca-certificates)
  if [ "$QUICK" = 0 ] || ! assay_binary > /dev/null; then
    command -v cmake > /dev/null || missing+=(cmake)
    command -v g++ > /dev/null || missing+=(g++)
    command -v ninja > /dev/null || missing+=(ninja-build)
  fi
  if [ ${#missing[@]} -gt 0 ]; then assay_install "${missing[@]}" >&2; fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "needs Python 3.10 or later (mlx has no wheel for $(python3 --version))"
}

assay_binary() {
  local candidate
  for candidate in "${ASSAY:-}" "$ROOT/build/release/assay"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then printf '%s\n' "$candidate"; return 0; fi
  done
  return 1
}

build_assay() {
  [ -z "${ASSAY:-}" ] || die "ASSAY=$ASSAY is not an executable file"
  assay_install "${assay_packages[@]}" >&2
  say "building assay"
  (cd "$ROOT" && cmake --preset release && cmake --build --preset release --target assay) > "$DIR/assay-build.log" 2>&1 ||
    die "the build of assay failed: see $DIR/assay-build.log"
}

ensure_wheels() {
  local wanted="$ROOT/scripts/peers/requirements.txt" stamp="$DIR/venv/.requirements"
  if ! cmp -s "$wanted" "$stamp"; then
    say "installing gguf, mlx and mlx-lm into $DIR/venv"
    rm -rf "$DIR/venv"
    python3 -m venv "$DIR/venv"
    "$DIR/venv/bin/pip" install -q -r "$wanted" > "$DIR/pip.log" 2>&1 || die "pip failed: see $DIR/pip.log"
    cp "$wanted" "$stamp"
  fi
}

# The source of llama.cpp is the one inside PyPI's llama-cpp-python, so no Git host is needed. Shared
# libraries: the checkers reach libllama through that package's own ctypes binding.
ensure_llama_cpp() {
  local version source="$DIR/llama-cpp-python" build="$DIR/llama.cpp-build" flags=()
  version=$(sed -n 's/^# llama-cpp-python==//p' "$ROOT/scripts/peers/requirements.txt")
  if [ "$(cat "$build/.version" 2> /dev/null)" = "$version" ]; then return; fi
  say "downloading the source of llama-cpp-python $version"
  rm -rf "$source" "$build" "$DIR/sdist"
  "$DIR/venv/bin/pip" download -q --no-binary :all: --no-deps -d "$DIR/sdist" "llama-cpp-python==$version" \
    > "$DIR/sdist.log" 2>&1 || die "pip download llama-cpp-python failed: see $DIR/sdist.log"
  mkdir -p "$source"
  tar xzf "$DIR"/sdist/*.tar.gz -C "$source" --strip-components=1
  # g++ 12's _tile_loadconfig names 8 of the 64 bytes that ldtilecfg reads, so the optimizer drops the rest
  # of the configuration and every AMX product faults.
  if printf '' | g++ -mno-amx-tile -x c++ -E - > /dev/null 2>&1; then
    flags=(-DCMAKE_C_FLAGS="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
      -DCMAKE_CXX_FLAGS="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16")
  fi
  say "building llama.cpp (ten minutes on two cores)"
  { cmake -G Ninja -S "$source/vendor/llama.cpp" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DGGML_NATIVE=ON -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF "${flags[@]}" &&
    cmake --build "$build" --target llama llama-quantize llama-perplexity; } > "$DIR/llama.cpp-build.log" 2>&1 ||
    die "the build of llama.cpp failed: see $DIR/llama.cpp-build.log"
  printf '%s\n' "$version" > "$build/.version"
}

ensure_system
ensure_wheels
if [ "$QUICK" = 0 ]; then ensure_llama_cpp; fi
assay_binary > /dev/null || build_assay

mode=(--full)
if [ "$QUICK" = 1 ]; then mode=(--quick); fi
exec "$DIR/venv/bin/python" "$ROOT/scripts/peers/main.py" "${mode[@]}" --assay "$(assay_binary)" --dir "$DIR" \
  --root "$ROOT"
