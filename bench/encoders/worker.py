"""One peer with one model in a process of its own, so that its peak memory is its own. Reads commands from
stdin, one JSON object a line, and answers each with one line:

  {"do": "time", "workload": FILE, "repeats": N}   -> {"seconds": [...], "peak_rss_bytes": ...}
  {"do": "vectors", "workload": FILE, "to": NPY}   -> {"texts": N}
  {"do": "about"}                                  -> {"version": ..., "isa": ...}
"""
import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np

from padding import mean_vectors
from peers import open_engine


def reset_peak():
    """Lets the kernel count the peak from here (Linux)."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_rss():
    for line in pathlib.Path("/proc/self/status").read_text().split("\n"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class Worker:
    def __init__(self, engine):
        self.engine, self.prepared = engine, {}

    def batches(self, path):
        if path not in self.prepared:
            lines = pathlib.Path(path).read_text().split("\n")
            batches = [json.loads(line) for line in lines if line]
            self.prepared[path] = [(batch, self.engine.prepare(batch)) for batch in batches]
        return self.prepared[path]

    def about(self, command):
        """What the engine says of itself; some choose their kernels only when they first run."""
        return {"version": self.engine.version, "isa": self.engine.isa()}

    def time(self, command):
        """One pass that is not counted, then `repeats` counted ones."""
        batches = self.batches(command["workload"])
        reset_peak()
        seconds = []
        for _ in range(command["repeats"] + 1):
            start = time.perf_counter()
            for _, inputs in batches:
                self.engine.run(inputs)
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds[1:], "peak_rss_bytes": peak_rss()}

    def vectors(self, command):
        rows = [mean_vectors(self.engine.run(inputs), batch) for batch, inputs in self.batches(command["workload"])]
        np.save(command["to"], np.concatenate(rows))
        return {"texts": sum(len(row) for row in rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("engine", "dtype", "folder", "checkpoint"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")  # engines may print; what they print must not mix with the answers
    os.dup2(2, 1)
    engine = open_engine(options.engine, options.folder, options.checkpoint, options.dtype, options.threads)
    worker = Worker(engine)
    print(json.dumps(worker.about({})), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(getattr(worker, command["do"])(command)), file=answers, flush=True)


if __name__ == "__main__":
    main()
