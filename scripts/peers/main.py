"""Runs every comparison and writes the table. Called by scripts/peers.sh, which installs what it needs."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import document
import encoder_peer
import gguf_peer
import mlx_peer
import planted_errors
from assay_cli import Assay
from checkpoints import Checkpoint, find_checkpoints
from findings import Findings

# Formats without a search have one right answer: every byte must be llama-quantize's.
SEARCHLESS = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q5_1")


class Comparison:
    """One checkpoint's outputs, made once and judged by every peer."""

    def __init__(self, assay: Assay, checkpoint: Checkpoint, work: Path, findings: Findings):
        self.assay, self.checkpoint, self.findings = assay, checkpoint, findings
        self.work = work / checkpoint.name
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.outputs: dict[str, Path] = {}

    def label(self, recipe: str, writer: str = "") -> str:
        return f"{self.checkpoint.name} {recipe}{' by ' + writer if writer else ''}"

    def write(self, recipes: list[str]) -> None:
        for recipe in recipes:
            with self.findings.attempt(self.label(recipe), "assay quantize"):
                target = self.work / "ours" / recipe.replace(":", "-")
                self.outputs[recipe] = self.assay.quantize(self.checkpoint.path, recipe, target)

    def judge_files(self) -> None:
        for recipe, path in self.outputs.items():
            self.inspect_verdict(path, recipe, self.label(recipe))
            if recipe.startswith("gguf:"):
                gguf_peer.compare_decoding(self.assay, path, path, self.label(recipe), self.findings)
                continue
            mlx_peer.compare_decoding(self.assay, path, path, self.label(recipe), self.findings)
            mlx_peer.compare_logits(self.assay, path, path, self.checkpoint.ids(), self.label(recipe), self.findings)

    def inspect_verdict(self, path: Path, recipe: str, label: str) -> None:
        expected = self.checkpoint.expected_verdict(recipe)
        with self.findings.attempt(label, "inspect's verdict"):
            verdict = self.assay.inspect(path)["verdict"]
            self.findings.add(label, "inspect's verdict", verdict, expected, verdict == expected)

    def read_mlx_lm(self) -> None:
        """The other direction: directories written by mlx-lm from the same checkpoint. It reads our mlx:f32 where
        a checkpoint spells its tensors in a way that mlx-lm refuses (TinyStories' aliased head)."""
        for recipe in (r for r in self.outputs if r.startswith("mlx:")):
            label = self.label(recipe, "mlx-lm")
            with self.findings.attempt(label, "mlx-lm converts"):
                source = self.mlx_source()
                with contextlib.redirect_stdout(io.StringIO()):  # its progress
                    theirs = mlx_peer.convert(source, recipe, self.work / "mlx-lm" / recipe.replace(":", "-"))
                self.inspect_verdict(theirs, recipe, label)
                mlx_peer.compare_decoding(self.assay, theirs, theirs, label, self.findings)
                mlx_peer.compare_logits(self.assay, theirs, theirs, self.checkpoint.ids(), label, self.findings)

    def mlx_source(self) -> Path:
        """A directory that mlx-lm's loader, tokenizer included, accepts."""
        try:
            mlx_peer.load_strictly(self.checkpoint.path)
            return self.checkpoint.path
        except ValueError:
            return self.outputs["mlx:f32"]


def plant_errors(comparison: Comparison, llama, findings: Findings) -> None:
    """One error per kind of comparison, on the outputs of one checkpoint."""
    assay, ids, work = comparison.assay, comparison.checkpoint.ids(), comparison.work
    mlx = comparison.outputs.get("mlx:4bit-g64")
    gguf = comparison.outputs.get("gguf:Q8_0")
    with findings.attempt("planted error", "set-up"):
        if mlx is None or gguf is None:
            raise ValueError(f"{comparison.checkpoint.name} gave no mlx:4bit-g64 or gguf:Q8_0 to plant an error in")
        bad_mlx = planted_errors.mlx_with_error(mlx, work / "planted-mlx")
        bad_gguf = planted_errors.gguf_with_error(gguf, work / "planted.gguf")
        bad_rope = planted_errors.gguf_with_other_rope(gguf, work / "planted-rope.gguf")
        object_to = lambda label, compare: planted_errors.must_object(label, compare, findings)  # noqa: E731
        object_to("mx.dequantize, one scale", lambda f: mlx_peer.compare_decoding(assay, mlx, bad_mlx, "mlx", f))
        object_to("mlx-lm logits, one scale", lambda f: mlx_peer.compare_logits(assay, mlx, bad_mlx, ids, "mlx", f))
        object_to("gguf-py, one scale", lambda f: gguf_peer.compare_decoding(assay, gguf, bad_gguf, "gguf", f))
        object_to("tensor bytes, one scale", lambda f: gguf_peer.compare_tensor_bytes(gguf, bad_gguf, "gguf", f, True))
        object_to("metadata, one bit of rope.freq_base", lambda f: gguf_peer.compare_metadata(
            gguf, bad_rope, "gguf", f))
        if llama is not None:
            plant_errors_for_llama_cpp(comparison, llama, gguf, bad_gguf, object_to)


def plant_errors_for_llama_cpp(comparison: Comparison, llama, gguf: Path, bad_gguf: Path, object_to) -> None:
    import llama_cpp_checks as checks

    assay, checkpoint, work = comparison.assay, comparison.checkpoint, comparison.work
    file = checks.Subject("gguf", gguf, bad_gguf, llama.quantize(bad_gguf, work / "decoded.gguf", "F32"))
    swapped = planted_errors.gguf_with_swapped_pieces(gguf, work / "planted-pieces.gguf", checkpoint.ids())
    object_to("llama.cpp logits, one scale", lambda f: checks.compare_logits(assay, llama, file, checkpoint.ids(), f))
    object_to("llama.cpp token ids, two pieces swapped", lambda f: checks.compare_tokens(
        llama, "gguf", swapped, checkpoint, None, f))


def plant_wrong_file(comparison: Comparison, llama, text: Path | None, findings: Findings) -> None:
    """What only a trained model can show: text and perplexity of the Q8_0 file against llama.cpp running Q4_0."""
    import llama_cpp_checks as checks

    assay, decode = comparison.assay, comparison.checkpoint.tokenizer.decode
    ours, other = comparison.outputs["gguf:Q8_0"], comparison.outputs["gguf:Q4_0"]
    file = checks.Subject("gguf", ours, other, llama.quantize(other, comparison.work / "decoded.gguf", "F32"))
    planted_errors.must_object("greedy text (exact), Q4_0 for Q8_0", lambda f: checks.compare_greedy(
        assay, llama, file, "exact", decode, f), findings)
    if text is not None:
        planted_errors.must_object("perplexity, Q4_0 for Q8_0", lambda f: checks.compare_perplexity(
            assay, llama, file, text, f), findings)


def judge_by_llama_cpp(comparison: Comparison, llama, text: Path | None, findings: Findings) -> None:
    """Our files in llama.cpp, and llama.cpp's files in assay."""
    import llama_cpp_checks as checks

    checkpoint, assay = comparison.checkpoint, comparison.assay
    ours = {r: p for r, p in comparison.outputs.items() if r.startswith("gguf:")}
    tokens_agree = None
    for recipe, path in ours.items():
        label = comparison.label(recipe)
        with findings.attempt(label, "llama.cpp loads it"):
            decoded = llama.quantize(path, comparison.work / "decoded.gguf", "F32")
            file = checks.Subject(label, path, path, decoded)
            if tokens_agree is None:
                tokens_agree = checks.compare_tokens(llama, label, path, checkpoint, text, findings)
            checks.compare_logits(assay, llama, file, checkpoint.ids(), findings)
            if checkpoint.trained and tokens_agree:
                checks.compare_greedy(assay, llama, file, "exact", checkpoint.tokenizer.decode, findings)
                checks.compare_greedy(assay, llama, file, "fast", checkpoint.tokenizer.decode, findings)
                if text:
                    checks.compare_perplexity(assay, llama, file, text, findings)
        read_llama_quantize(comparison, llama, recipe, path, findings)


def read_llama_quantize(comparison: Comparison, llama, recipe: str, ours: Path, findings: Findings) -> None:
    """The same recipe by llama-quantize, from an F32 file of the same checkpoint."""
    import llama_cpp_checks as checks

    kind, label = recipe.partition(":")[2], comparison.label(recipe, "llama-quantize")
    with findings.attempt(label, "llama-quantize"):
        theirs = llama.quantize(comparison.outputs["gguf:F32"], comparison.work / f"llama-cpp-{kind}.gguf", kind)
        gguf_peer.compare_tensor_bytes(ours, theirs, label, findings, kind in SEARCHLESS)
        comparison.inspect_verdict(theirs, recipe, label)
        gguf_peer.compare_decoding(comparison.assay, theirs, theirs, label, findings)
        decoded = llama.quantize(theirs, comparison.work / "decoded.gguf", "F32")
        file = checks.Subject(label, theirs, theirs, decoded)
        checks.compare_logits(comparison.assay, llama, file, comparison.checkpoint.ids(), findings)
        if comparison.checkpoint.trained:
            checks.compare_greedy(comparison.assay, llama, file, "exact", comparison.checkpoint.tokenizer.decode,
                                  findings)


def read_converter(comparison: Comparison, llama, python: Path, text: Path | None, findings: Findings) -> None:
    """What convert_hf_to_gguf.py writes, against our F32 file: tensors byte for byte, metadata key by key."""
    import llama_cpp_checks as checks

    label = comparison.label("gguf:F32", "convert_hf_to_gguf.py")
    with findings.attempt(label, "converter"):
        theirs = comparison.work / "converted-F32.gguf"
        launcher = Path(__file__).with_name("run_converter.py")
        command = [python, launcher, llama.converter, comparison.checkpoint.pre_tokenizer(), comparison.mlx_source(),
                   "--outtype", "f32", "--outfile", theirs]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        gguf_peer.compare_tensor_bytes(comparison.outputs["gguf:F32"], theirs, label, findings, demand=True)
        gguf_peer.compare_metadata(comparison.outputs["gguf:F32"], theirs, label, findings)
        gguf_peer.compare_decoding(comparison.assay, theirs, theirs, label, findings)
        measured, _ = checks.equal_ids(llama, theirs, comparison.checkpoint, text)
        findings.add(label, "token ids from the converter's own vocabulary", measured, "recorded", True)


def read_stored(comparison: Comparison, findings: Findings) -> None:
    """A Q8_0 file that came with the checkpoint, written by llama.cpp elsewhere."""
    for theirs in sorted(comparison.checkpoint.path.glob("gguf/*Q8_0.gguf")):
        label = comparison.label("gguf:Q8_0", "llama.cpp, published")
        gguf_peer.compare_tensor_bytes(comparison.outputs["gguf:Q8_0"], theirs, label, findings, demand=True)
        comparison.inspect_verdict(theirs, "gguf:Q8_0", label)
        gguf_peer.compare_decoding(comparison.assay, theirs, theirs, label, findings)


def judge_with_llama_cpp_built(comparison: Comparison, llama, data: Path, findings: Findings) -> None:
    text = comparison.checkpoint.evaluation_text(data, comparison.work)
    judge_by_llama_cpp(comparison, llama, text, findings)
    if python := os.environ.get("ASSAY_TORCH_PYTHON"):
        read_converter(comparison, llama, Path(python), text, findings)
    read_stored(comparison, findings)
    if comparison.checkpoint.trained:
        plant_wrong_file(comparison, llama, text, findings)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--quick", dest="mode", action="store_const", const="quick")
    mode.add_argument("--full", dest="mode", action="store_const", const="full")
    parser.add_argument("--verbose", action="store_true", help="also print what agrees")
    parser.add_argument("--assay", type=Path, required=True, help="the assay binary")
    parser.add_argument("--dir", type=Path, required=True, help="where peers are installed and files written")
    parser.add_argument("--root", type=Path, required=True, help="the source tree")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    quick = options.mode == "quick"
    findings, assay, llama = Findings(verbose=options.verbose), Assay(options.assay), None
    if not quick:
        from llama_cpp_peer import LlamaCpp

        llama = LlamaCpp(options.dir)
    data = Path(os.environ.get("ASSAY_DATA", options.root / "../shared/data"))
    for number, checkpoint in enumerate(find_checkpoints(options.root, data, options.dir / "checkpoints", quick)):
        started, before = time.monotonic(), len(findings.rows)
        comparison = Comparison(assay, checkpoint, options.dir / "work", findings)
        comparison.write(checkpoint.mlx_recipes(quick) + checkpoint.gguf_recipes(quick))
        comparison.judge_files()
        comparison.read_mlx_lm()
        if number == 0:
            plant_errors(comparison, llama, findings)
        if llama is not None:
            judge_with_llama_cpp_built(comparison, llama, data, findings)
        seconds = time.monotonic() - started
        print(f"{checkpoint.name}: {len(findings.rows) - before} comparisons, {seconds:.0f} s", flush=True)
    encoder_peer.judge_all(assay, llama, options.root, options.dir / "work/encoders", findings)
    (options.dir / f"findings-{options.mode}.json").write_text(findings.to_json())
    table = document.versions(assay.version(), None if llama is None else document.llama_cpp_version(options.dir))
    target = options.dir / "peers-quick.md" if quick else options.root / "docs/peers.md"
    target.write_text(document.render(findings, table, options.mode))
    failed = findings.failed()
    print(f"{len(findings.rows)} comparisons, {len(failed)} differ: {target}")
    return 1 if failed or not findings.rows else 0


if __name__ == "__main__":
    sys.exit(main())
