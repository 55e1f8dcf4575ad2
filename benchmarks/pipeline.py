"""A job of three stages beside one of a single request, on the emulator in the process: CPU for each interaction, peak
memory, and what an edit of the last stage sends again.
"""

from __future__ import annotations

from pathlib import Path

from batchrun.emulator import read_ledger
from benchmarks.figures import Figure
from benchmarks.jobs import rehearse, row, write_job
from benchmarks.processes import Cost, measure

TARGET = 1.2
#: What allocators and page caches may add between the two sizes.
NOISE_MB = 30
STAGES = 3

_JOB = """\
name: bench
input: {path: rows.jsonl, key: id}
stages:
  first: {request: {model: gemini-3.5-flash, input: "What is {{ n }} plus {{ n }}?"}}
  second: {needs: first, request: {model: gemini-3.5-flash, input: "{{ n }}: is {{ stages.first.output }} right?"}}
  third: {needs: second, request: {model: gemini-3.5-flash, input: "LAST {{ n }}: {{ stages.second.output | length }}"}}
limits: {in_flight: 500, posts: 64}
poll: {first: 0, rpm: null}
"""


def run(folder: Path, *, quick: bool) -> list[Figure]:
    few, many = (1_000, 4_000) if quick else (20_000, 100_000)
    small, large = (_piped(folder / f"piped-{rows}", rows) for rows in (few, many))
    ratio = (large.cpu / many / STAGES) / (_single(folder / "single", many).cpu / many)
    grown = (large.peak_bytes - small.peak_bytes) / 1_000_000
    edited, again = _edited(folder / f"piped-{many}")
    return [
        Figure(
            f"CPU an interaction, {STAGES} × {many:,} rows, times one request",
            f"≤ {TARGET:g}",
            f"{ratio:.2f}",
            ratio <= TARGET,
        ),
        Figure(
            f"growth of memory from {STAGES} × {few:,} rows", f"< {NOISE_MB} MB", f"{grown:+.0f} MB", grown < NOISE_MB
        ),
        Figure("POSTs after an edit of the last stage", f"{many:,}", f"{again:,}", again == many, _note(edited)),
    ]


def _single(folder: Path, rows: int) -> Cost:
    folder.mkdir()
    write_job(folder, rows)
    return measure(rehearse(), folder)


def _piped(folder: Path, rows: int) -> Cost:
    folder.mkdir()
    (folder / "job.yaml").write_text(_JOB)
    (folder / "rows.jsonl").write_text("".join(map(row, range(rows))))
    return measure(rehearse(), folder)


def _edited(folder: Path) -> tuple[Cost, int]:
    """The cost of the run after an edit of the last stage, and the POSTs that the service has taken for it."""
    ledger = folder / "runs" / "bench.emulated" / "emulator.ledger.jsonl"
    before = len(read_ledger(ledger))
    (folder / "job.yaml").write_text(_JOB.replace("LAST", "Last"))
    cost = measure(rehearse("--accept-change"), folder)
    return cost, len(read_ledger(ledger)) - before


def _note(edited: Cost) -> str:
    return f"counted in the emulator's ledger; {edited.cpu:.0f} s of CPU in all"
