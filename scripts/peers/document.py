"""The report: versions, how the bounds came about, every comparison."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path

from findings import Continuation, Finding, Findings, findings_table, markdown_table

BOUNDS = """\
## What is compared, and where the bounds come from

- **Decoded values, bit for bit.** In every block format of ours, and in MLX's with 16-bit scales, f32 holds code x
  scale exactly and the offset is added with one rounding, so each correct decoder gives the same bits. Only MLX with
  f32 scales rounds twice; there one step of f32 is allowed, and said so.
- **Tensor bytes** against llama-quantize's output from the same checkpoint. F32, F16, BF16, Q8_0, Q4_0, Q5_0 and Q5_1
  have one right answer and must be equal. K-quants come out of a search over scales in f32, whose result depends on
  how the compiler contracts products and sums, so only their formats must match; how many are equal all the same is
  in the table.
- **Logits in f32.** The peer computes in f32 with the same weights (mlx-lm with its scales widened to f32; llama.cpp
  on its own F32 expansion of the file, with an f32 cache and without flash attention, which rounds keys and values to
  f16 on a CPU). What is left is the order of sums. That is measured, not guessed: the peer runs the model once more
  by a route that is equal in exact arithmetic (sums from the other end, positions shifted, one token at a time), and
  the largest change of any logit, times 8 because another engine differs in every operation at once, plus 2^-20 of
  the largest logit, is the bound.
- **Token ids.** llama.cpp, from the vocabulary in our file, against tokenizer.json in Hugging Face's tokenizers: five
  prompts, three harder texts, and the evaluation text.
- **Greedy text**, 32 tokens. `exact` against the F32 expansion; `fast` against the file as llama.cpp runs it: there
  both engines round activations, each in its own way. Texts must be equal, or part at a tie: our logits of the two
  tokens lie within twice the noise of that step. The noise is 2^-20 of the largest logit for `exact`, and for `fast`
  what rounding activations does to llama.cpp's own logits.
- **Perplexity** by llama-perplexity's convention (chunks of 512 tokens, second half counted), 16 chunks. `exact`
  against the F32 expansion: four printed decimals and 0.001 %. `fast` against the file as it comes: twice the shift
  that rounding activations causes in llama.cpp itself, at least 0.1 %.
- **Encoders.** Token ids, mean vectors and a classifier's probabilities of small BERTs. llama.cpp computes the tanh
  approximation of GELU from a table of half-precision values, ours the activation that config.json names. One GELU may
  so differ by 4.7e-4 (erf against tanh) and by half precision's rounding of what goes in and comes out (2^-11 each);
  whole vectors are held to that, relative to their length, and probabilities by their largest difference.
  DistilBERT's probabilities are not compared: llama.cpp has tanh before its classifier, the model has ReLU.
- **Planted errors.** Each kind of comparison is repeated with one error in what the peer reads and has to object.
"""

DIFFERENCES = """\
## What differs, and why

- **`tokenizer.ggml.scores`** of sentencepiece-like vocabularies that come as tokenizer.json. llama.cpp merges by
  score, and tokenizer.json knows only the order of its merges. convert_hf_to_gguf.py gives every piece the score
  -1000, so llama.cpp loses that order and cuts some words otherwise than the model was trained on. Ours are the ranks
  of the merges, negated. The rows "token ids" show both: from our file llama.cpp gets tokenizer.json's ids.
- **`attention.key_length` and `value_length`** are left out of our files where config.json names no head_dim:
  llama.cpp then takes embedding_length / head_count, which is the same number. The converter writes what transformers
  filled in.
- **`rope_freqs.weight`** (Llama 3's rope scaling) is computed by each writer in f32. Against convert_hf_to_gguf.py it
  may differ in its last bits, because torch's power function and the C library's round differently.
- **Descriptive `general.*` keys** (name, tags, size label) are not compared, nor is the order of tensors and keys;
  neither changes what llama.cpp computes.
- **TinyStories-656K** stores its tied matrix as `lm_head.weight` only. mlx-lm refuses that, and convert_hf_to_gguf.py
  makes a file that llama.cpp refuses. So the peers convert our `mlx:f32` directory of it, in which the matrix has its
  usual name; our own outputs come from the original.
- **Characters outside TinyStories-656K's vocabulary** are left out of its texts: it has no byte pieces, and llama.cpp
  ends with an uncaught exception there.
- **K-quants of TinyStories-656K** hold no K-quant: its rows of 128 are no multiples of 256, and both tools fall back to
  the same shorter blocks. Its Q6_K is Q8_0 throughout, hence the same figures.
- **`fast` against llama.cpp's default run** differs in the third to fifth digit of the perplexity. Both round
  activations to 8 bits, in blocks of their own, and keys and values to f16; llama.cpp's flash attention on a CPU also
  adds the values up in f16.
- **Verdict "mixed"** of small models at groups of 64: they have rows of 32, which MLX leaves unquantized, as ours do.
- **Test models without a tokenizer** get one of single characters for this comparison, and one model gets Llama 3's
  rope scaling, because neither peer converts or loads a model without tokenizer.
"""

# Check -> heading of its column; the checks of one kind of file share a table.
COLUMNS = {
    "mlx": {
        "mlx-lm loads strictly, mx.dequantize gives the same values": "values unlike mlx-lm's",
        "exact logits equal mlx-lm's in f32": "logits (bound)",
        "inspect's verdict": "inspect says",
    },
    "gguf": {
        "gguf-py decodes to the same values": "values unlike gguf-py's",
        "same tensor bytes": "tensors equal to ours",
        "same tensor formats": "tensors equal to ours",
        "inspect's verdict": "inspect says",
        "vectors equal llama.cpp's in f32, but for GELU": "vectors (bound)",
        "probabilities equal llama.cpp's in f32, but for GELU": "probabilities (bound)",
        "exact logits equal llama.cpp's in f32": "logits (bound)",
        "greedy text (exact)": "greedy, exact",
        "greedy text (fast)": "greedy, fast",
        "perplexity (exact)": "perplexity, exact (bound)",
        "perplexity (fast)": "perplexity, fast (bound)",
    },
}
SHOWN_TEXT = "gguf:Q4_K_M"  # whose continuations are printed side by side


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def llama_cpp_version(directory: Path) -> str:
    """The package and, where its source tree still says so, the commit."""
    requirements = Path(__file__).with_name("requirements.txt").read_text()
    package = re.search(r"^# llama-cpp-python==(\S+)", requirements, re.MULTILINE).group(1)
    head = directory / "llama-cpp-python/.git/modules/vendor/llama.cpp/HEAD"
    commit = f"commit {head.read_text().strip()[:12]}, " if head.is_file() else ""
    return f"{commit}from the source package of llama-cpp-python {package}"


def versions(assay: str, llama_cpp: str | None) -> str:
    rows = [["assay", assay]]
    packages = ("gguf", "mlx", "mlx-lm", "transformers", "tokenizers", "numpy")
    rows += [[name, metadata.version(name)] for name in packages]
    if llama_cpp is not None:
        rows.append(["llama.cpp", llama_cpp])
    rows += [["Python", platform.python_version()], ["CPU", cpu_name()]]
    return markdown_table(["", "version"], rows)


def cell(row: Finding) -> str:
    text = re.sub(r" of ([\d,]+) values in (\d+) tensors differ", r" of \1", row.measured)
    text = text.removesuffix(" byte-equal").replace(" against ", " / ")
    if re.match(r"[\d.]+(e| %)", row.bound):
        text += f" ({row.bound})"
    return text if row.ok else f"**DIFFERS** {text}"


def checkpoint_tables(name: str, rows: list[Finding]) -> list[str]:
    """One table per kind of file, a row per file and writer, and one of the checks that have no column."""
    out = [f"### {name}", ""]
    others = []
    for kind, columns in COLUMNS.items():
        files: dict[str, dict[str, str]] = {}
        for row in rows:
            recipe = row.subject.removeprefix(name + " ")
            if not recipe.startswith(kind + ":"):
                continue
            if row.check not in columns:
                others.append(row)
                continue
            files.setdefault(recipe.removeprefix(kind + ":"), {})[columns[row.check]] = cell(row)
        titles = [t for t in dict.fromkeys(columns.values()) if any(t in cells for cells in files.values())]
        if files:
            table = [[file, *(cells.get(title, "") for title in titles)] for file, cells in files.items()]
            out += [markdown_table([{"mlx": "MLX", "gguf": "GGUF"}[kind], *titles], table), ""]
    return out + ([findings_table(others), ""] if others else [])


def continuations(texts: list[Continuation]) -> list[str]:
    """The texts of one recipe of each trained model, as exact runs give them."""
    shown = [t for t in texts if t.subject.endswith(" " + SHOWN_TEXT)]
    if not shown:
        return []
    rows = []
    for text in shown:
        same = text.theirs.startswith(text.ours)
        one_line = [" ".join(x.split()) for x in (text.prompt, text.ours, text.theirs)]
        rows.append([text.subject.split()[0], text.compute, *one_line[:2], "the same" if same else one_line[2]])
    return [f"## Greedy text side by side ({SHOWN_TEXT})", "", markdown_table(
        ["model", "compute", "prompt", "assay", "llama.cpp"], rows), ""]


def summary(rows: list[Finding]) -> str:
    """How many comparisons of each kind, and how many of them disagree."""
    kinds: dict[str, list[Finding]] = {}
    for row in rows:
        kinds.setdefault(row.check, []).append(row)
    return markdown_table(["comparison", "files", "differ"], [
        [check, str(len(found)), str(sum(not row.ok for row in found))] for check, found in kinds.items()])


def render(findings: Findings, versions_table: str, mode: str) -> str:
    failed = findings.failed()
    verdict = "All agree, or differ as explained below." if not failed else f"**{len(failed)} do not agree.**"
    planted = [row for row in findings.rows if row.subject == "planted error"]
    compared = [row for row in findings.rows if row.subject != "planted error"]
    names = dict.fromkeys(row.subject.split()[0] for row in compared)
    tables = [line for name in names for line in checkpoint_tables(
        name, [row for row in compared if row.subject.split()[0] == name])]
    return "\n".join([
        "# Peers as judges", "",
        f"Written by `bash scripts/peers.sh{' --quick' if mode == 'quick' else ''}`; don't edit. "
        f"{len(findings.rows)} comparisons. {verdict}", "",
        "## Versions", "", versions_table, "",
        "## Summary", "", summary(compared), "", BOUNDS, DIFFERENCES,
        "## Planted errors", "", findings_table(planted), "",
        *continuations(findings.texts),
        "## File by file", "",
        "Files without \"by\" are ours; the others were written by the peer from the same checkpoint and read by us.",
        "Perplexities: assay / llama.cpp.", "", *tables])
