"""Polls a row, and how long answers lie ready until a poll finds them: with a learned schedule and without.

Real runs against the emulator, on a virtual clock: the same figures on every machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from unittest.mock import patch

import pyarrow.parquet as pq

from batchrun.emulator import EmulatorSettings, parse_latency
from batchrun.emulator.latency import Latency as Distribution
from batchrun.engine import latency
from batchrun.runs.options import Options
from batchrun.runs.run import run as run_job
from batchrun.spec.load import load_job
from benchmarks.figures import Figure
from tests.virtual_time import VirtualTime

IN_FLIGHT = 200
#: The parts of a mixture take turns by chance.
DISTRIBUTIONS = {
    "20 s": ["20s"],
    "lognormal, median 20 s, sigma 1": ["lognormal:20s,1.0"],
    "lognormal, median 20 s, sigma 0.5": ["lognormal:20s,0.5"],
    "5 s or 120 s": ["5s", "120s"],
    "lognormal, median 10 min, sigma 0.4": ["lognormal:10m,0.4"],
}
_JOB = {
    "name": "polls",
    "input": {"path": "rows.jsonl", "key": "id"},
    "request": {"model": "gemini-3.5-flash", "input": "What is {{ id }}?"},
    "limits": {"in_flight": IN_FLIGHT, "posts": 64, "rpm": 3000},
}


@dataclass(frozen=True)
class Mixture(Distribution):
    """A distribution that is one of several, by chance, and remembers what was drawn."""

    parts: tuple[Distribution, ...] = ()
    drawn: list[float] = field(default_factory=list)

    def draw(self, chance: float) -> float:
        place, rest = divmod(chance * len(self.parts), 1)
        self.drawn.append(self.parts[int(place)].draw(rest or 0.5))
        return self.drawn[-1]


def run(folder: Path, *, quick: bool) -> list[Figure]:
    """A run of 500 or 1,000 rows for each distribution, and one without learning beside it."""
    rows = 500 if quick else 1000
    return [_figure(folder / str(number), name, rows) for number, name in enumerate(DISTRIBUTIONS)]


def _figure(folder: Path, name: str, rows: int) -> Figure:
    learned = _measure(folder / "learned", name, rows)
    with patch.object(latency, "_FEWEST", rows + 1):
        fixed = _measure(folder / "fixed", name, rows)
    note = f"{rows:,} rows, {IN_FLIGHT} in flight; without learning {fixed[0]:.2f} and {fixed[1]:.1f} s"
    measured = f"{learned[0]:.2f}, {learned[1]:.1f} s"
    return Figure(f"polls a row and extra wait, {name}", "less than without", measured, learned[0] < fixed[0], note)


def _measure(folder: Path, name: str, rows: int) -> tuple[float, float]:
    """Polls a row, and the mean seconds from ready to found."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(_JOB))
    (folder / "rows.jsonl").write_text("".join(f'{{"id": "r{n}"}}\n' for n in range(rows)))
    clock, drawn = VirtualTime(), Mixture(parts=tuple(map(parse_latency, DISTRIBUTIONS[name])))
    settings = EmulatorSettings(latency=drawn, clock=clock.wall)
    options = Options(emulator=settings, seed=1, looks=None)
    result = run_job(load_job(folder / "job.json"), options, clock.wall, run_async=clock.run)
    usage = pq.read_table(result.summary.outputs["usage"], columns=["submitted_at", "fetched_at"]).to_pylist()
    took = mean((row["fetched_at"] - row["submitted_at"]).total_seconds() for row in usage)
    return result.summary.polls / rows, took - mean(drawn.drawn)
