#!/usr/bin/env bash
# Builds assay and shows the whole of it on the three trained models that this repository carries. A decoder: four
# quantized files, the proof that they are quantized, what they weigh, how far they drifted, how fast they run. A guard
# model: what its verdicts are worth in each format. A classifier: int8 and int4, what they cost in vectors and labels.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

assay_install "${assay_packages[@]}"
echo "building (a few minutes the first time)…"
cmake --preset release >/dev/null
cmake --build --preset release --target assay

model=models/rust-prose-14M
out=build/demo
rm -rf "$out"

echo
echo "$model, quantized four ways into $out:"
build/release/assay compare "$model" \
  --to mlx:8bit,mlx:4bit,gguf:Q8_0,gguf:Q4_K_M -o "$out" \
  --text "$model/heldout.txt" --prompt "What is a trait?" --prompt "What does cargo build do?" --max-tokens 48

guard=models/guard-4M
echo
echo "$guard, the F1 of its verdicts on 500 held-out rows, in $out/guard:"
build/release/assay compare "$guard" --to mlx:8bit,mlx:4bit,gguf:Q4_K_M -o "$out/guard" \
  --guard "$guard/heldout.jsonl" --guard-max-tokens 80

encoder=models/rust-books-3M
echo
echo "$encoder, quantized two ways into $out:"
build/release/assay quantize "$encoder" --to int8,int4 -o "$out/encoder"
for format in int8 int4; do build/release/assay verify "$out/encoder/$format" --against "$encoder"; done
build/release/assay eval encoder "$out/encoder/int8" "$out/encoder/int4" --reference "$encoder" \
  --file "$encoder/heldout.jsonl" --label-field label

cat <<MESSAGE

Two reports, with charts and what every number rests on: $out/report.html and $out/guard/report.html

What to try next:
  build/release/assay inspect $out/mlx-4bit
  build/release/assay verify $out/mlx-4bit --against $model
  build/release/assay chat $out/mlx-4bit
  build/release/assay eval guard $guard --data $guard/heldout.jsonl --max-tokens 80
  build/release/assay classify $out/encoder/int8 --text "Cargo downloads the crates that a package depends on."
MESSAGE
