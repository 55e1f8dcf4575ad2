"""Runs the benchmarks, prints their table and writes `RESULTS.md`. Takes minutes; `--quick` takes one."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import emulator, media, memory, pipeline, polls, resume, row_cost, startup
from benchmarks.figures import Figure, document, machine, table

BENCHMARKS = {
    "startup": startup.run,
    "row_cost": row_cost.run,
    "memory": memory.run,
    "media": media.run,
    "resume": resume.run,
    "polls": polls.run,
    "pipeline": pipeline.run,
    "emulator": emulator.run,
}
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(BENCHMARKS)}; default: all of them, into RESULTS.md")
    parser.add_argument("--quick", action="store_true", help="fewer rows; RESULTS.md stays as it is")
    chosen = parser.parse_args()
    if unknown := set(chosen.name) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    figures = [figure for name in chosen.name or BENCHMARKS for figure in measured(name, quick=chosen.quick)]
    print(f"\n{machine()}\n\n{table(figures)}")
    if not chosen.name and not chosen.quick:
        RESULTS.write_text(document(figures))
    return int(any(figure.ok is False for figure in figures))


def measured(name: str, *, quick: bool) -> list[Figure]:
    """The figures of one benchmark, made in a folder that is removed afterwards."""
    print(f"{name} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="batchrun-bench-") as folder:
        return BENCHMARKS[name](Path(folder), quick=quick)


if __name__ == "__main__":
    sys.exit(main())
