"""What a comparison found: one row each, and the document they end up in."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One comparison. The subject is "CHECKPOINT RECIPE" or "CHECKPOINT RECIPE by WRITER"; `measured` and `bound`
    are texts; `ok` says whether measured is within bound."""

    subject: str
    check: str
    measured: str
    bound: str
    ok: bool


@dataclass(frozen=True)
class Continuation:
    """One prompt continued by both engines, as text."""

    subject: str
    compute: str
    prompt: str
    ours: str
    theirs: str


@dataclass
class Findings:
    rows: list[Finding] = field(default_factory=list)
    texts: list[Continuation] = field(default_factory=list)
    silent: bool = False  # True where a planted error makes a failure the right result
    verbose: bool = False  # also print what agrees

    def add(self, subject: str, check: str, measured: str, bound: str, ok: bool) -> None:
        row = Finding(subject, check, measured, bound, bool(ok))
        self.rows.append(row)
        if not self.silent and (self.verbose or not row.ok):
            print(f"{'ok  ' if row.ok else 'FAIL'} {subject}: {check}: {measured} (bound: {bound})", file=sys.stderr)

    @contextlib.contextmanager
    def attempt(self, subject: str, check: str):
        """Turns an exception in a comparison into a failed row, so that one fault does not hide the others."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - any fault of either side is a disagreement
            text = str(error).strip() or type(error).__name__
            self.add(subject, check, text.splitlines()[-1][:200], "runs", False)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    def failed(self) -> list[Finding]:
        return [row for row in self.rows if not row.ok]


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def findings_table(rows: list[Finding]) -> str:
    cells = [[r.subject, r.check, r.measured, r.bound, "agree" if r.ok else "**DIFFER**"] for r in rows]
    return markdown_table(["file", "comparison", "measured", "bound", ""], cells)
