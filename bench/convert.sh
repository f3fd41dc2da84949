#!/usr/bin/env bash
# Conversion at a real size: a random checkpoint of the Llama-3.2-1B shape (2.47 GB of bf16), to gguf:Q4_K_M and
# mlx:4bit. Prints seconds, weights per second and the largest resident set of each run, as the kernel counted it.
#   bash bench/convert.sh WORK_DIR [LLAMA_QUANTIZE]
# LLAMA_QUANTIZE: stock llama.cpp's llama-quantize, run alternately on the BF16 GGUF that assay writes.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

work=${1:?usage: bench/convert.sh WORK_DIR [LLAMA_QUANTIZE]}
llama_quantize=${2:-}
threads=$(nproc)
assay_install "${assay_packages[@]}" libbenchmark-dev time
cmake --preset release -DASSAY_BENCH=ON >/dev/null
cmake --build --preset release --target assay make_model
assay=$PWD/build/release/assay
mkdir -p "$work"
checkpoint=$work/llama-3.2-1b-random
[ -d "$checkpoint" ] || build/release/bench/make_model llama-3.2-1b "$checkpoint" tests/models/llama-rows256

# measure LABEL COMMAND…: one row of wall seconds and peak memory.
measure() {
  local label=$1
  shift
  /usr/bin/time -f "%e %M" -o "$work/time.txt" "$@" >"$work/log.txt" 2>&1 || { tail -3 "$work/log.txt"; exit 1; }
  read -r seconds kilobytes <"$work/time.txt"
  awk -v l="$label" -v s="$seconds" -v k="$kilobytes" \
    'BEGIN { printf "%-28s %7.2f s  %7.1f M weights/s  peak %6.1f MB\n", l, s, 1235.8 / s, k * 1024 / 1e6 }'
}

for round in 1 2 3; do
  echo "round $round, $threads threads"
  rm -rf "$work/out"
  measure "assay gguf:Q4_K_M" "$assay" quantize "$checkpoint" --to gguf:Q4_K_M -o "$work/out" --threads "$threads"
  measure "assay mlx:4bit" "$assay" quantize "$checkpoint" --to mlx:4bit -o "$work/out" --threads "$threads"
  if [ -n "$llama_quantize" ]; then
    bf16=$work/llama-3.2-1b-random-BF16.gguf
    [ -f "$bf16" ] || "$assay" quantize "$checkpoint" --to gguf:BF16 -o "$work" >/dev/null 2>&1
    measure "llama-quantize Q4_K_M" "$llama_quantize" "$bf16" "$work/out/llama.gguf" Q4_K_M "$threads"
    cmp -s <(tail -c 1000000 "$work/out/llama.gguf") <(tail -c 1000000 "$work"/out/*-Q4_K_M.gguf) &&
      echo "the last megabyte of both Q4_K_M files is the same"
  fi
done
