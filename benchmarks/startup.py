"""CPU of `batchrun --version`: what every command costs before it does anything."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from benchmarks.processes import BATCHRUN, measure

TARGET = 0.3


def run(folder: Path, *, quick: bool) -> list[Figure]:
    measure((*BATCHRUN, "--version"), folder)  # compiles and warms the disk's cache
    used = median(measure((*BATCHRUN, "--version"), folder).cpu for _ in range(3 if quick else 9))
    return [Figure("CPU of `batchrun --version`", f"< {TARGET:g} s", f"{used:.3f} s", used < TARGET)]
