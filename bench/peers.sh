#!/usr/bin/env bash
# Decode and prefill of the same GGUF files by assay and its peers, alternating, with medians and their ratios as the
# Markdown table of docs/performance.md.
#   bash bench/peers.sh WORK_DIR [--llama-bin DIR] [--ik-bin DIR] [--shapes "qwen3-0.6b llama-3.2-1b"]
#        [--formats "Q4_0 Q4_K Q4_K_M Q8_0 F16"] [--rounds 3] [--prefill "256"] [--decode 64] [FILE.gguf…]
# Without --llama-bin stock llama.cpp is built in WORK_DIR, from the source that PyPI's llama-cpp-python carries.
# --ik-bin: a folder with ik_llama.cpp's llama-bench; its source is in no package registry, so build it yourself.
# FILE…: these files, instead of random ones of real shapes that WORK_DIR keeps (make_model, assay quantize; Q4_K,
# without the mix's wider tensors, by llama-quantize --pure).
# ASSAY: an assay that is built already, with bench/make_model beside it. MEASURE: a command that every measurement runs under, e.g. "taskset -c 0,1".
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

usage() { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] && [ "${1#-}" = "$1" ] || usage
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
llama_bin="" ik_bin="" shapes="qwen3-0.6b llama-3.2-1b" formats="Q4_0 Q4_K Q4_K_M Q8_0 F16" rounds=3 prefill="256" decode=64
files=()
while [ $# -gt 0 ]; do
  case $1 in
    --llama-bin) llama_bin=$2; shift 2 ;;
    --ik-bin) ik_bin=$2; shift 2 ;;
    --shapes) shapes=$2; shift 2 ;;
    --formats) formats=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --prefill) prefill=$2; shift 2 ;;
    --decode) decode=$2; shift 2 ;;
    -*) usage ;;
    *) files+=("$1"); shift ;;
  esac
done
threads=$(nproc)
assay=${ASSAY:-$PWD/build/release/assay}
read -ra measure <<<"${MEASURE:-env}"

build_assay() {
  [ -z "${ASSAY:-}" ] || { [ -x "$assay" ] && return; echo "ASSAY=$assay is no program" >&2; exit 1; }
  assay_install "${assay_packages[@]}" libbenchmark-dev >&2
  cmake --preset release -DASSAY_BENCH=ON >/dev/null
  cmake --build --preset release --target assay make_model >&2
}

build_llama() {
  [ -z "$llama_bin" ] || return 0
  llama_bin=$work/llama.cpp-build/bin
  [ ! -x "$llama_bin/llama-bench" ] || return 0
  local version flags=()
  version=$(sed -n 's/^# llama-cpp-python==//p' scripts/peers/requirements.txt)
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" download -q --no-binary :all: --no-deps -d "$work/sdist" "llama-cpp-python==$version" >&2
  mkdir -p "$work/llama-cpp-python"
  tar xzf "$work/sdist"/*.tar.gz -C "$work/llama-cpp-python" --strip-components=1
  # g++ 12's _tile_loadconfig names 8 of the 64 bytes that ldtilecfg reads, and every AMX product faults.
  if g++ -mno-amx-tile -x c++ -E - </dev/null >/dev/null 2>&1 && [ "$(g++ -dumpversion | cut -d. -f1)" -lt 13 ]; then
    flags=(-DCMAKE_C_FLAGS="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
      -DCMAKE_CXX_FLAGS="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16")
    echo "llama.cpp is built without AMX: this g++ breaks it" >&2
  fi
  cmake -G Ninja -S "$work/llama-cpp-python/vendor/llama.cpp" -B "$work/llama.cpp-build" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF \
    -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF "${flags[@]}" >&2
  cmake --build "$work/llama.cpp-build" --target llama-bench llama-quantize >&2
}

# make_file SHAPE FORMAT: prints the path of the file, made where it is not there yet.
make_file() {
  local checkpoint=$work/$1 file=$work/gguf/$1-$2.gguf
  [ -d "$checkpoint" ] || "$(dirname "$assay")/bench/make_model" "$1" "$checkpoint" tests/models/llama-rows256 >&2
  if [ ! -f "$file" ] && [ "$2" = Q4_K ]; then
    "$llama_bin/llama-quantize" --pure "$(make_file "$1" F16)" "$file" Q4_K_S "$threads" >&2
  elif [ ! -f "$file" ]; then
    "$assay" quantize "$checkpoint" --to "gguf:$2" -o "$work/gguf" >&2
  fi
  echo "$file"
}

# Rows "program test rate file": the median of the run's own repeats.
run_assay() {
  "${measure[@]}" "$assay" bench "$1" --prefill "$2" --decode "$3" --repeats 3 --threads "$threads" --json 2>/dev/null |
    python3 -c 'import json, sys
document, wanted = json.load(sys.stdin), sys.argv[1]
for run in document["runs"]:
    if run["test"].split()[0] == wanted: print("assay", run["test"].replace(" ", "-"), run["median"], run["path"])
print("machine", "read_gb_s", document["machine"]["read_gb_s"], "-")' "$4"
}
run_llama() {
  "${measure[@]}" "$2" -m "$3" -p "$4" -n "$5" -r 3 -t "$threads" -o json 2>/dev/null |
    python3 -c 'import json, statistics, sys
for run in json.load(sys.stdin):
    test = "decode-%d" % run["n_gen"] if run["n_gen"] else "prefill-%d" % run["n_prompt"]
    print(sys.argv[1], test, statistics.median(run["samples_ts"]), sys.argv[2])' "$1" "$3"
}

build_assay
build_llama
if [ ${#files[@]} -eq 0 ]; then
  mkdir -p "$work/gguf"
  for shape in $shapes; do for format in $formats; do files+=("$(make_file "$shape" "$format")"); done; done
fi
rows=$work/peers.rows
: >"$rows"
for round in $(seq "$rounds"); do
  for file in "${files[@]}"; do
    # Decoding starts at the first position in every program: llama-bench knows no other way.
    for tokens in $prefill; do
      run_assay "$file" "$tokens" 1 prefill >>"$rows"
      run_llama llama.cpp "$llama_bin/llama-bench" "$file" "$tokens" 0 >>"$rows"
      [ -z "$ik_bin" ] || run_llama ik_llama.cpp "$ik_bin/llama-bench" "$file" "$tokens" 0 >>"$rows"
    done
    run_assay "$file" 1 "$decode" decode >>"$rows"
    run_llama llama.cpp "$llama_bin/llama-bench" "$file" 0 "$decode" >>"$rows"
    [ -z "$ik_bin" ] || run_llama ik_llama.cpp "$ik_bin/llama-bench" "$file" 0 "$decode" >>"$rows"
    echo "round $round: $(basename "$file")" >&2
  done
done
python3 bench/peers_table.py "$rows"
[ -n "$ik_bin" ] || echo "ik_llama.cpp: not measured (no --ik-bin)"
