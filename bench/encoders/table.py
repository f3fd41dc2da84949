"""The measurements as Markdown."""

HEADER = ("| engine | dtype | ms a batch, median | best | texts/s | tokens/s | × assay int8 | cosine mean | p5 | min "
          "| peak MB |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")


def find(rows, engine, dtype):
    return next((row for row in rows if (row["engine"], row["dtype"]) == (engine, dtype)), None)


def row_line(row, ours):
    ratio = f"{row['seconds_per_pass'] / ours['seconds_per_pass']:.2f}" if ours else "-"
    cosine = row["cosine"]
    return (f"| {row['engine']} | {row['dtype']} | {row['ms_per_batch']:.2f} | {row['ms_per_batch_best']:.2f} "
            f"| {row['texts_per_second']:.0f} | {row['tokens_per_second']:.0f} | {ratio} "
            f"| {cosine['mean']:.5f} | {cosine['p5']:.5f} | {cosine['min']:.5f} | {row['peak_rss_bytes'] / 1e6:.0f} |")


def against_fastest(rows, dtype, peer_dtypes, peak=None):
    """One line: assay's dtype beside the fastest peer of `peer_dtypes`. `peak`: the multiply-adds of one token's
    weights, and those a second that the machine's registers can do."""
    ours = find(rows, "assay", dtype)
    peers = [row for row in rows if row["engine"] != "assay" and row["dtype"] in peer_dtypes]
    if ours is None or not peers:
        return ""
    best = min(peers, key=lambda row: row["seconds_per_pass"])
    share = f"; {ours['tokens_per_second'] * peak[0] / peak[1]:.1%} of this machine's int8 peak" if peak else ""
    return (f"\nassay {dtype} is {best['seconds_per_pass'] / ours['seconds_per_pass']:.2f} times as fast as "
            f"{best['engine']} {best['dtype']}, the fastest peer; cosine min {ours['cosine']['min']:.5f} beside "
            f"{best['cosine']['min']:.5f}{share}.\n")


def section(model, measured, macs_per_second):
    rows = sorted(measured["rows"], key=lambda row: row["seconds_per_pass"])
    ours = find(rows, "assay", "int8")
    lines = "\n".join(row_line(row, ours) for row in rows)
    return (f"### {model}, {measured['workload']}: {measured['description']}\n\n{HEADER}\n{lines}\n"
            + against_fastest(rows, "int8", ("int8", "bf16", "f32"),
                              macs_per_second and (measured["macs_per_token"], macs_per_second))
            + against_fastest(rows, "f32", ("f32",)))


def versions(document):
    rows = {(row["engine"], row["dtype"]): row for result in document["results"] for row in result["rows"]}
    return "\n".join(f"- {engine} {row['version']} {dtype}: {row['isa']}" for (engine, dtype), row in rows.items())


def to_markdown(document):
    machine = document["machine"]
    head = (f"{machine['cpu']}, {document['threads']} threads, {machine['int8']}; {document['rounds']} rounds, all "
            f"engines in turn in each; load at the start {machine['load']:.1f}. Cosines of mean-pooled vectors "
            f"against {document['results'][0]['reference']}. assay's time includes pooling, the others' ends with "
            "the hidden states.\n\n")
    missing = "".join(f"- not measured: {line}\n" for line in document["missing"])
    parts = [section(result["model"], result, machine["int8_macs_per_second"]) for result in document["results"]]
    return head + "\n".join(parts) + "\nVersions and the instructions each engine reports:\n\n" + versions(
        document) + "\n" + missing
