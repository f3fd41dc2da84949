#!/usr/bin/env bash
# Decode and prefill of the same GGUF files by assay and by stock llama.cpp, alternating, with the ratio of medians.
#   bash bench/decode.sh LLAMA_BENCH FILE.gguf…
# LLAMA_BENCH: the path of llama-bench. Three rounds; every round runs both programs on every file.
set -euo pipefail
cd "$(dirname "$0")/.."
llama_bench=${1:?usage: bench/decode.sh LLAMA_BENCH FILE.gguf…}
shift
threads=$(nproc)
assay=build/release/assay
[ -x "$assay" ] || { echo "build first: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT

for round in 1 2 3; do
  for file in "$@"; do
    "$assay" bench "$file" --prefill 128 --decode 32 --repeats 3 --threads "$threads" --json 2>/dev/null |
      python3 -c 'import json, sys
for run in json.load(sys.stdin)["runs"]:
    if run["unit"] == "tok/s": print("assay", run["test"].split()[0], run["median"], run["path"])' >>"$rows"
    "$llama_bench" -m "$file" -p 128 -n 32 -r 3 -t "$threads" -o json 2>/dev/null |
      python3 -c 'import json, sys
for run in json.load(sys.stdin): print("llama.cpp", "decode" if run["n_gen"] else "prefill", run["avg_ts"], sys.argv[1])' "$file" >>"$rows"
  done
done

python3 - "$rows" <<'PYTHON'
import collections
import os
import statistics
import sys

rates = collections.defaultdict(list)
for line in open(sys.argv[1]):
    program, test, rate, path = line.rstrip("\n").split(" ", 3)
    rates[path, test, program].append(float(rate))
print("| file | test | assay tok/s | llama.cpp tok/s | ratio |\n|---|---|---:|---:|---:|")
for path, test in sorted({(p, t) for p, t, _ in rates}):
    ours, theirs = (statistics.median(rates[path, test, program]) for program in ("assay", "llama.cpp"))
    print(f"| {os.path.basename(path)} | {test} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")
PYTHON
