"""CPU for a row over a socket, everything included, beside a bare aiohttp loop that makes the same two requests.

The two take turns, so that a busy machine slows both; the figure is the median of the ratios.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from benchmarks.jobs import run_at, write_job
from benchmarks.processes import Served, measure, served

TARGET = 3.0


def run(folder: Path, *, quick: bool) -> list[Figure]:
    rows, turns = (4_000, 1) if quick else (20_000, 3)
    write_job(folder, rows)
    with served(folder) as emulator:
        pairs = [_turn(folder, emulator, rows, turn) for turn in range(turns)]
        plain = measure(_plain(emulator.url), folder).cpu
    ratio = median(ours / bare for ours, bare in pairs)
    return [
        Figure("CPU a row, times a bare loop", f"≤ {TARGET:g}", f"{ratio:.2f}", ratio <= TARGET, _note(pairs, rows)),
        Figure("the same on plain asyncio", "", f"{plain / median(b for _, b in pairs):.2f}", None),
    ]


def _turn(folder: Path, emulator: Served, rows: int, turn: int) -> tuple[float, float]:
    """CPU seconds of batchrun and of the bare loop."""
    ours = measure(run_at(emulator.url, f"run-{turn}"), folder).cpu
    bare = measure((sys.executable, "-m", "benchmarks.bare", emulator.url, str(rows)), folder).cpu
    return ours, bare


def _plain(url: str) -> tuple[str, ...]:
    return sys.executable, "-m", "benchmarks.plain_loop", "job.yaml", url, "run-plain"


def _note(pairs: list[tuple[float, float]], rows: int) -> str:
    turns = ", ".join(f"{1000 * ours / rows:.3f} ms to {1000 * bare / rows:.3f} ms" for ours, bare in pairs)
    return (
        f"user and system time of the client process, start and Parquet included, {rows:,} rows, 500 in flight "
        f"(batchrun to bare): {turns}. batchrun runs on uvloop, the bare loop on asyncio."
    )
