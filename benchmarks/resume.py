"""From the start of a process to its first new POST, in a run that has finished many rows.

One long run is stopped with SIGINT when the ledger has enough lines, then resumed, then given one more row.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from batchrun.emulator.ledger import read_ledger
from benchmarks.figures import Figure
from benchmarks.jobs import IN_FLIGHT, append_row, rehearse, write_job
from benchmarks.processes import finish, measure, start, wall

TARGET = 2.0
STOPPED = 130
LEDGER = Path("runs/bench.emulated/emulator.ledger.jsonl")


def run(folder: Path, *, quick: bool) -> list[Figure]:
    finished = 10_000 if quick else 100_000
    rows = finished + 2 * IN_FLIGHT
    write_job(folder, rows)
    _stop_at(folder, finished + IN_FLIGHT)
    stopped = _first_post(folder)
    append_row(folder, rows)
    appended = _first_post(folder)
    return [
        _figure(f"first POST of a resumed run, {finished:,} rows finished", stopped),
        _figure(f"first POST of a row appended to {rows:,} finished ones", appended),
    ]


def _figure(name: str, seconds: float) -> Figure:
    return Figure(name, f"< {TARGET:g} s", f"{seconds:.2f} s", seconds < TARGET)


def _stop_at(folder: Path, posts: int) -> None:
    """Run until this many POSTs have arrived, then interrupt, as a user would."""
    process = start(rehearse(), folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while _posts(folder) < posts:
        time.sleep(0.05)  # the ledger is all there is to see of it; how soon it is seen is not what is measured
    process.send_signal(signal.SIGINT)
    if (code := finish(process).code) != STOPPED:
        raise RuntimeError(f"the run that was to be stopped ended with {code}")


def _posts(folder: Path) -> int:
    try:
        return (folder / LEDGER).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _first_post(folder: Path) -> float:
    """Seconds until the first POST of a run reaches the emulator; the run goes on to its end."""
    before, began = _posts(folder), wall()
    measure(rehearse(), folder)
    return float(read_ledger(folder / LEDGER)[before]["time"]) - began
