"""The job all benchmarks run: short prompts, answers at once, as many rows in flight as asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import BATCHRUN

IN_FLIGHT = 500

_JOB = f"""\
name: bench
input: {{path: rows.jsonl, key: id}}
request: {{model: gemini-3.5-flash, input: "What is {{{{ n }}}} plus {{{{ n }}}}?"}}
limits: {{in_flight: {IN_FLIGHT}, posts: 64}}
poll: {{first: 0, rpm: null}}
"""


def write_job(folder: Path, rows: int) -> None:
    """The job file and its input in `folder`."""
    (folder / "job.yaml").write_text(_JOB)
    (folder / "rows.jsonl").write_text("".join(map(row, range(rows))))


def append_row(folder: Path, number: int) -> None:
    with (folder / "rows.jsonl").open("a") as file:
        file.write(row(number))


def row(number: int) -> str:
    return f'{{"id": "r{number:06d}", "n": {number}}}\n'


def rehearse(*more: str) -> Sequence[str]:
    """The command that runs the job on the emulator inside the process."""
    return (*BATCHRUN, "run", "job.yaml", "--emulator", "--latency", "0s", "--quiet", *more)


def run_at(url: str, name: str) -> Sequence[str]:
    """The command that runs the job against a server, in a run directory of its own."""
    return (*BATCHRUN, "run", "job.yaml", "--base-url", url, "--run-dir", name, "--quiet")
