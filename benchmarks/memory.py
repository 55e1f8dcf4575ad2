"""Peak memory of a rehearsal: client, store, export and the emulator in one process."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.jobs import rehearse, write_job
from benchmarks.processes import measure

TARGET_MB = 250
#: What allocators and page caches may add between the two sizes.
NOISE_MB = 20


def run(folder: Path, *, quick: bool) -> list[Figure]:
    few, many = (2_000, 10_000) if quick else (20_000, 100_000)
    small, large = (_peak(folder / str(rows), rows) for rows in (few, many))
    grown = large - small
    return [
        Figure(f"peak memory, {many:,} rows", f"< {TARGET_MB} MB", f"{large:.0f} MB", large < TARGET_MB),
        Figure(f"growth from {few:,} rows", f"< {NOISE_MB} MB", f"{grown:+.0f} MB", grown < NOISE_MB),
    ]


def _peak(folder: Path, rows: int) -> float:
    """Megabytes resident at most."""
    folder.mkdir()
    write_job(folder, rows)
    return measure(rehearse(), folder).peak_bytes / 1_000_000
