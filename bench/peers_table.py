#!/usr/bin/env python3
"""Prints the rows that bench/peers.sh measured as a Markdown table: medians over the rounds, their range, and
assay's rate divided by each peer's. A ratio is the median of the rounds' own ratios: what drifts between rounds
cancels. --self-test checks the arithmetic on planted rows.

A row is "program test rate file"; "machine read_gb_s GB/s -" rows give the bandwidth beside which they ran.
"""
import collections
import os
import statistics
import sys


def read_rows(lines):
    """{(file, test): {program: [rate of round 1, …]}}, and the bandwidths."""
    rates, bandwidths = collections.defaultdict(lambda: collections.defaultdict(list)), []
    for line in lines:
        program, test, rate, path = line.rstrip("\n").split(" ", 3)
        if program == "machine":
            bandwidths.append(float(rate))
        else:
            rates[os.path.basename(path), test][program].append(float(rate))
    return rates, bandwidths


def show(values):
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 1
    if len(values) < 2:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs))


def table(rates, bandwidths):
    peers = sorted({p for programs in rates.values() for p in programs} - {"assay"}, reverse=True)
    yield "| file | test | assay tok/s | " + " | ".join(f"{p} tok/s | assay / {p}" for p in peers) + " |"
    yield "|---|---|---:|" + "---:|---:|" * len(peers)
    for (name, test), programs in rates.items():
        cells = [name.removesuffix(".gguf"), test.replace("-", " "), show(programs["assay"])]
        for peer in peers:
            if programs[peer]:
                cells += [show(programs[peer]), f"{ratio(programs['assay'], programs[peer]):.2f}"]
            else:
                cells += ["–", "–"]
        yield "| " + " | ".join(cells) + " |"
    if bandwidths:
        yield ""
        yield f"Read bandwidth measured beside every run: {show(bandwidths)} GB/s."


def self_test():
    rows = ["assay decode-64 10 /x/A.gguf", "llama.cpp decode-64 5 /x/A.gguf", "machine read_gb_s 20 -",
            "assay decode-64 30 /x/A.gguf", "llama.cpp decode-64 10 /x/A.gguf",
            "assay decode-64 20 /x/A.gguf", "llama.cpp decode-64 40 /x/A.gguf"]
    lines = list(table(*read_rows(rows)))
    # The rounds' ratios are 2, 3 and 0.5; the ratio of the medians would be 2 too, that of the best 0.75.
    assert lines[2] == "| A | decode 64 | 20.0 (10.0–30.0) | 10.0 (5.0–40.0) | 2.00 |", lines[2]
    assert lines[-1].endswith("20.0 GB/s."), lines
    assert ratio([10, 30, 20], [5, 10, 5]) == 3


def main():
    if "--self-test" in sys.argv:
        return self_test()
    with open(sys.argv[1], encoding="utf-8") as rows:
        print("\n".join(table(*read_rows(rows))))


if __name__ == "__main__":
    main()
