#!/usr/bin/env bash
# Divergence of one GGUF file from another by assay (one run, both models side by side) and by stock
# llama-perplexity (two passes with the reference's logits in a file between them), alternating.
#   bash bench/divergence.sh LLAMA_PERPLEXITY REFERENCE.gguf CANDIDATE.gguf TEXT [CHUNKS [ROUNDS [COMPUTE]]]
# CHUNKS windows of 512 tokens (default 8), ROUNDS repeats (default 3), COMPUTE of our candidate: exact or fast
# (default fast: llama.cpp, too, quantizes activations). llama-perplexity scores the second half of each
# window; so does assay here, and once more every position, which is its default. ASSAY names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
usage="usage: bench/divergence.sh LLAMA_PERPLEXITY REFERENCE.gguf CANDIDATE.gguf TEXT [CHUNKS [ROUNDS [COMPUTE]]]"
llama=${1:?$usage} reference=${2:?$usage} candidate=${3:?$usage} text=${4:?$usage}
chunks=${5:-8} rounds=${6:-3} compute=${7:-fast}
threads=$(nproc)
assay=${ASSAY:-build/release/assay}
[ -x "$assay" ] || { echo "build first: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# timed NAME COMMAND…: appends "NAME seconds" to the rows and keeps the command's output.
timed() {
  local name=$1 begin end
  shift
  begin=$(date +%s.%N)
  "$@" >"$folder/$name.out" 2>"$folder/$name.err" || { tail -5 "$folder/$name.err" >&2; exit 1; }
  end=$(date +%s.%N)
  echo "$name $(echo "$end - $begin" | bc)" >>"$folder/rows"
}

ours=("$assay" eval divergence "$candidate" --reference "$reference" --text "$text" --ctx 512
      --chunks "$chunks" --threads "$threads" --compute "$compute" --json)
theirs=("$llama" -c 512 --chunks "$chunks" -t "$threads" --kl-divergence-base "$folder/base")
for ((round = 0; round < rounds; ++round)); do
  timed assay-second-half "${ours[@]}" --score second-half
  timed assay-all "${ours[@]}" --score all
  timed llama-base "${theirs[@]}" -m "$reference" -f "$text"
  timed llama-divergence "${theirs[@]}" -m "$candidate" --kl-divergence
  [ -f "$folder/base.size" ] || stat -c %s "$folder/base" >"$folder/base.size"
  rm -f "$folder/base"
done

python3 - "$folder" <<'PYTHON'
import collections, json, re, statistics, sys

folder = sys.argv[1]
seconds = collections.defaultdict(list)
for line in open(f"{folder}/rows"):
    name, value = line.split()
    seconds[name].append(float(value))
median = {name: statistics.median(values) for name, values in seconds.items()}
theirs = median["llama-base"] + median["llama-divergence"]
print("| run | median s | of them in the two models | whole / models | peak MB | mean KLD |")
print("|---|---:|---:|---:|---:|---:|")
for name in ("assay-second-half", "assay-all"):
    document = json.load(open(f"{folder}/{name}.out"))
    row = document["results"][0]
    models = row["seconds"]["reference"] + row["seconds"]["candidate"]
    whole = seconds[name][-1]
    print(f"| {name} | {median[name]:.1f} | {models:.1f} | {whole / models:.3f} | {document['peak_rss_bytes'] / 1e6:.0f} "
          f"| {row['metric']['kl_mean']['value']:.6f} |")
log = open(f"{folder}/llama-divergence.out").read() + open(f"{folder}/llama-divergence.err").read()
found = re.search(r"Mean\s+KLD:\s*([-0-9.]+)", log)
size = int(open(f"{folder}/base.size").read())
print(f"| llama-perplexity, two passes | {median['llama-base']:.1f} + {median['llama-divergence']:.1f} = {theirs:.1f} "
      f"| – | – | – | {found.group(1) if found else '?'} |")
print(f"\nllama.cpp / assay: {theirs / median['assay-second-half']:.2f} on the same positions; its file of logits "
      f"takes {size / 1e6:.0f} MB; ours none.")
print("All rounds:", {name: [round(v, 1) for v in values] for name, values in seconds.items()})
PYTHON
