"""Rounds in which every engine has a turn, and the figures of one workload."""
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

import numpy as np

# It says what it uses, and uses AVX-512 where the processor has it, which it otherwise leaves alone.
CTRANSLATE2_SETTINGS = {"CT2_VERBOSE": "1"}
if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text(errors="replace"):
    CTRANSLATE2_SETTINGS["CT2_FORCE_CPU_ISA"] = "AVX512"
HERE = pathlib.Path(__file__).resolve().parent


class Peer:
    """A worker process of one engine, dtype and model."""

    def __init__(self, engine, dtype, python, folder, checkpoint, threads, log):
        self.engine, self.dtype, self.log = engine, dtype, log
        command = [python, HERE / "worker.py", "--engine", engine, "--dtype", dtype, "--folder", folder,
                   "--checkpoint", checkpoint, "--threads", str(threads)]
        environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": str(threads), **CTRANSLATE2_SETTINGS}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(log, "w"), text=True, env=environment)
        self.about = self._answer()

    def _isa_of_log(self):
        found = re.findall(r"(Selected ISA|SGEMM|GEMM_S8)[^:]*: ([^(\n]+)", pathlib.Path(self.log).read_text())
        return ", ".join(dict.fromkeys(f"{key}: {value.strip()}" for key, value in found))

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            tail = pathlib.Path(self.log).read_text().strip().split("\n")[-1]
            raise RuntimeError(f"{self.engine} {self.dtype} ended: {tail}")
        return json.loads(line)

    def _ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def time(self, workload, repeats):
        return self._ask(do="time", workload=str(workload.path), repeats=repeats)

    def vectors(self, workload, folder):
        path = folder / f"{self.engine}-{self.dtype}.npy"
        self._ask(do="vectors", workload=str(workload.path), to=str(path))
        self.about = self._ask(do="about")
        if self.about["isa"] == "in its log":
            self.about["isa"] = self._isa_of_log()
        return np.load(path)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Assay:
    """assay as a process per turn: it loads, runs once uncounted, and reports its own seconds."""

    engine = "assay"

    def __init__(self, binary, path, dtype, threads):
        self.dtype, self.about = dtype, {"version": "", "isa": ""}
        self.command = [binary, "bench", path, "--encoder", "--threads", str(threads), "--json"]

    def _run(self, workload, *more):
        command = [*self.command, "--ids", workload.path, *more]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"assay {self.dtype}: {done.stderr.strip()}")
        document = json.loads(done.stdout)
        self.about["isa"] = document["machine"]["isa"]
        return document["runs"][0]

    def time(self, workload, repeats):
        run = self._run(workload, "--repeats", str(repeats), "--warmup", "1")
        return {"seconds": run["seconds"], "peak_rss_bytes": run["peak_rss_bytes"]}

    def vectors(self, workload, folder):
        path = folder / f"assay-{self.dtype}.f32"
        self._run(workload, "--repeats", "1", "--vectors", str(path))
        rows = sum(len(batch) for batch in workload.batches())
        vectors = np.fromfile(path, "<f4").reshape(rows, -1).astype(np.float64)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def close(self):
        pass


def passes_of(engine, workload, least_seconds=0.25):
    """Passes a turn needs to last long enough for the clock and the machine to settle."""
    once = engine.time(workload, 1)["seconds"][0]
    return max(1, min(20, round(least_seconds / once)))


def take_turns(engines, workload, rounds, pause=0.3):
    """{engine: its answers}, one turn each a round; the order turns by one each round. The pause lets the
    threads of the engine before fall asleep."""
    passes = {engine: passes_of(engine, workload) for engine in engines}
    answers = {engine: [] for engine in engines}
    for turn in range(rounds):
        shift = turn % len(engines)
        for engine in engines[shift:] + engines[:shift]:
            time.sleep(pause)
            answers[engine].append(engine.time(workload, passes[engine]))
    return answers


def cosines(vectors, reference):
    products = np.sum(vectors * reference, axis=1)
    return {"mean": float(products.mean()), "p5": float(np.percentile(products, 5)), "min": float(products.min())}


def figures(engine, answers, workload, vectors, reference):
    """One row: the median over rounds of each turn's median pass."""
    batches = workload.batches()
    texts = sum(len(batch) for batch in batches)
    tokens = sum(len(ids) for batch in batches for ids in batch)
    turns = [statistics.median(answer["seconds"]) for answer in answers]
    middle = statistics.median(turns)
    return {"engine": engine.engine, "dtype": engine.dtype, **engine.about, "batches": len(batches),
            "seconds_per_pass": middle, "ms_per_batch": middle / len(batches) * 1e3,
            "ms_per_batch_best": min(min(answer["seconds"]) for answer in answers) / len(batches) * 1e3,
            "texts_per_second": texts / middle, "tokens_per_second": tokens / middle, "turns": turns,
            "cosine": cosines(vectors, reference),
            "peak_rss_bytes": max(answer["peak_rss_bytes"] for answer in answers)}


def measure(engines, workload, rounds, folder):
    """The rows of one model and workload. Vectors are compared with the first of torch f32, onnxruntime f32."""
    vectors = {engine: engine.vectors(workload, folder) for engine in engines}
    by_name = {(engine.engine, engine.dtype): engine for engine in engines}
    reference = next(by_name[name, "f32"] for name in ("torch", "onnxruntime") if (name, "f32") in by_name)
    answers = take_turns(engines, workload, rounds)
    rows = [figures(engine, answers[engine], workload, vectors[engine], vectors[reference]) for engine in engines]
    print(f"encoders: {workload.name} measured", file=sys.stderr, flush=True)
    return {"workload": workload.name, "description": workload.description,
            "reference": f"{reference.engine} f32", "rows": rows}
