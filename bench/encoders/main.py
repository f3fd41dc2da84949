"""Encoders beside other engines: see ../encoders.sh."""
import argparse
import json
import os
import pathlib
import subprocess
import sys

from tokenizers import Tokenizer

import checkpoint
import convert
import measure
import table
import workloads
from peers import DTYPES

ROOT = pathlib.Path(__file__).resolve().parents[2]
INT8_FLAGS = ("amx_int8", "avx512_vnni", "avx_vnni")


def data_folder():
    """Where the real test files are, if anywhere."""
    named = os.environ.get("ASSAY_DATA")
    folder = pathlib.Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def machine(options):
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(errors="replace").split("\n")
    except OSError:
        lines = []
    field = {line.split(":")[0].strip(): line.partition(":")[2].strip() for line in lines if ":" in line}
    flags = field.get("flags", "").split()
    known = [flag for flag in INT8_FLAGS if flag in flags]
    return {"cpu": field.get("model name", "unknown"), "int8": " ".join(known) or "no int8 products",
            "load": os.getloadavg()[0], "int8_macs_per_second": integer_peak(options)}


def integer_peak(options):
    """int8 multiply-adds a second of all threads by a loop over registers; None without the program."""
    if options.integer_peak is None:
        return None
    measured = json.loads(subprocess.run([options.integer_peak], capture_output=True, text=True, check=True).stdout)
    return measured["int8_macs_per_second"] * options.threads or None


def physical_cores():
    """Cores that the kernel tells apart among those this process may use."""
    cores = set()
    for cpu in os.sched_getaffinity(0):
        topology = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            cores.add(tuple((topology / name).read_text() for name in ("physical_package_id", "core_id")))
        except OSError:
            cores.add(cpu)
    return len(cores)


def open_peers(options, name, model, folder, missing):
    """Workers of every peer and dtype that can be opened; a reason in `missing` for every other."""
    opened = []
    for engine, dtypes in DTYPES.items():
        if engine in options.skip:
            continue
        python = options.torch_python if engine == "torch" else sys.executable
        if python is None:
            missing.append(f"{name} {engine}: no Python with torch and transformers (--torch-python)")
            continue
        for dtype in dtypes:
            log = folder / f"{engine}-{dtype}.log"
            try:
                opened.append(measure.Peer(engine, dtype, python, folder, model, options.threads, log))
            except RuntimeError as error:
                missing.append(f"{name} {error}")
    return opened


def open_assay(options, model, folder):
    """assay's own int8, and the checkpoint as it is."""
    if options.assay is None:
        return []
    quantized = folder / "assay"
    subprocess.run([options.assay, "quantize", model, "--to", "int8", "-o", quantized, "--overwrite"], check=True,
                   stdout=subprocess.DEVNULL)
    return [measure.Assay(options.assay, quantized / "int8", "int8", options.threads),
            measure.Assay(options.assay, model, "f32", options.threads)]


def parse():
    parser = argparse.ArgumentParser(prog="encoders.sh", description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--assay", help="the binary; without it the peers alone")
    parser.add_argument("--integer-peak", help="bench/integer_peak's binary, for the share of the int8 peak")
    parser.add_argument("--torch-python", help="a Python with torch and transformers")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", action="append", help="all-MiniLM-L6-v2, distilbert-shape (default: both)")
    parser.add_argument("--workload", action="append", help="1x16, 32x128, mix (default: all)")
    parser.add_argument("--skip", action="append", default=[], help="an engine to leave out")
    parser.add_argument("--prepare", action="store_true", help="convert for the peers, measure nothing")
    return parser.parse_args()


def measure_model(options, name, model, made, missing):
    folder = options.work / "peers" / name
    encoder = checkpoint.read_encoder(model)
    failures = convert.convert_all(encoder, folder, options.work / "workloads" / "calibration.jsonl")
    missing.extend(f"{name} {file}: {why}" for file, why in failures.items())
    if options.prepare:
        return []
    engines = open_assay(options, model, folder) + open_peers(options, name, model, folder, missing)
    results = [{"model": name, "macs_per_token": encoder.macs_per_token(), **measure.measure(engines, workload, options.rounds, folder)} for workload in made]
    for engine in engines:
        engine.close()
    return results


def main():
    options = parse()
    minilm = checkpoint.place_minilm(options.work / "models" / "all-MiniLM-L6-v2")
    models = {"all-MiniLM-L6-v2": minilm,
              "distilbert-shape": checkpoint.make_distilbert(options.work / "models" / "distilbert-shape", minilm)}
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = workloads.open_texts(tokenizer, data_folder(), ROOT)
    made = workloads.make_workloads(texts, tokenizer, options.work / "workloads")
    made = [workload for workload in made if not options.workload or workload.name in options.workload]
    document = {"machine": machine(options), "threads": options.threads, "rounds": options.rounds, "results": [],
                "missing": []}
    for name, model in models.items():
        if not options.model or name in options.model:
            document["results"] += measure_model(options, name, model, made, document["missing"])
    if options.prepare:
        return
    markdown = table.to_markdown(document)
    (options.work / "encoders.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.work / "encoders.md").write_text(markdown)
    print(markdown)


if __name__ == "__main__":
    main()
