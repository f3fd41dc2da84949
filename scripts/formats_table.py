#!/usr/bin/env python3
"""Measures every weight format on the bundled model and writes the table of docs/formats.md.

  scripts/formats_table.py build/release/assay                 prints the table
  scripts/formats_table.py build/release/assay --write         puts it between the markers of docs/formats.md

Each format is given to every matrix of the model, the embedding that is also the head included. Columns: bits per
weight as stored; the error of the weights, root mean square over that of the weights; and the mean divergence
(nats per token, with its 95 % interval) of the exact engine from the source on the first 6,000 bytes of the
held-out text. Needs no network and no other tool; a few minutes on one core.
"""
import argparse
import json
import math
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/rust-prose-14M"
TEXT_BYTES = 6_000
BEGIN, END = "<!-- table made by scripts/formats_table.py -->", "<!-- end of the table -->"

LLAMA, MLX = "llama.cpp and what is built on it", "mlx, mlx-lm"
# Recipe whose base the format is, or Q8_0 where a format has no mix of its own.
GGUF = {
    "F16": "F16", "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K": "Q5_K_S", "Q5_1": "Q5_1", "Q5_0": "Q5_0",
    "Q4_1": "Q4_1", "Q4_K": "Q4_K_S", "Q4_0": "Q4_0", "IQ4_NL": "IQ4_NL", "NVFP4": "Q8_0", "IQ4_XS": "IQ4_XS",
    "MXFP4": "Q8_0", "Q3_K": "Q3_K_S", "Q2_K": "Q2_K_S", "TQ2_0": "TQ2_0", "TQ1_0": "TQ1_0",
}  # fmt: skip
MLX_BITS = [8, 6, 5, 4, 3, 2]


def run(assay, *arguments):
    result = subprocess.run([assay, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def matrix_error(manifest):
    """Root mean square over all matrices, from those of the single ones."""
    squares = count = 0
    for tensor in manifest["outputs"][0]["tensors"]:
        if len(tensor["shape"]) < 2:
            continue
        elements = math.prod(tensor["shape"])
        squares += elements * tensor["error"]["rms_relative"] ** 2
        count += elements
    return math.sqrt(squares / count)


def measure(assay, text, recipe, options):
    with tempfile.TemporaryDirectory() as folder:
        document = run(assay, "quantize", MODEL, "--to", recipe, *options, "-o", folder, "--evaluate", text, "--json")
        manifest = json.loads((pathlib.Path(folder) / "assay.json").read_text())
    evaluation = document["evaluations"][0]
    matrices = [t for t in manifest["outputs"][0]["tensors"] if len(t["shape"]) >= 2]
    bits = sum(8 * t["bytes"] for t in matrices) / sum(math.prod(t["shape"]) for t in matrices)
    return bits, matrix_error(manifest), evaluation


def rows(assay, text):
    for name, recipe in GGUF.items():
        options = []
        if name not in ("F16", "BF16"):
            options = ["--tensor", f".={name}", "--output-tensor", name, "--token-embedding", name]
        yield f"GGUF {name}", *measure(assay, text, f"gguf:{recipe}", options), LLAMA
    for bits in MLX_BITS:
        yield f"MLX {bits} bits, groups of 64", *measure(assay, text, f"mlx:{bits}bit", []), MLX


def make_table(assay):
    with tempfile.NamedTemporaryFile(suffix=".txt") as text:
        text.write((MODEL / "heldout.txt").read_bytes()[:TEXT_BYTES].decode("utf-8", "ignore").encode())
        text.flush()
        lines = [
            "| format | bits per weight | error of the weights | divergence, nats | same likeliest token | who else reads it |",
            "|---|---|---|---|---|---|",
        ]
        for name, bits, error, evaluation, readers in rows(assay, text.name):
            lines.append(
                f"| {name} | {bits:.4g} | {error:.5f} | {evaluation['kl_mean']:.5f} "
                f"({evaluation['kl_low']:.5f} … {evaluation['kl_high']:.5f}) | {evaluation['top1_agreement']:.3f} | {readers} |"
            )
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assay", help="the program")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/formats.md")
    options = parser.parse_args()
    table = make_table(options.assay)
    if options.write:
        page = ROOT / "docs/formats.md"
        text = page.read_text()
        before, rest = text.split(BEGIN)
        page.write_text(before + BEGIN + "\n" + table + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
