"""The commands that look: status and show. They open the checkpoint read-only, also while a run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from batchrun.cli import options
from batchrun.cli.printing import say, say_json


@click.command()
@options.run_choice
@options.as_json
def status(job: Path, overrides: tuple[str, ...], run_dir: Path | None, emulated: bool, as_json: bool) -> None:
    """Where a run stands. JOB is a job file or a run directory."""
    from batchrun.cli.ending import summary_lines
    from batchrun.reports import find_run, summarize
    from batchrun.store.reader import Reader

    directory = find_run(job, overrides, run_dir, emulated=emulated)
    with Reader(directory.checkpoint) as reader, reader.snapshot():
        summary = summarize(reader)
    if as_json:
        say_json(summary.document())
        return
    say("\n".join(summary_lines(summary)))
    say(f"run directory: {directory.path}")


@click.command()
@options.run_choice
@click.argument("key")
def show(job: Path, overrides: tuple[str, ...], run_dir: Path | None, emulated: bool, key: str) -> None:
    """Everything about one row: its request, every attempt, the raw answer, the outcome."""
    from batchrun.reports import row_document
    from batchrun.rundir import existing_run_dir
    from batchrun.spec.load import load_job
    from batchrun.store.reader import Reader

    loaded = load_job(job, overrides)
    with Reader(existing_run_dir(loaded, run_dir, emulated=emulated).checkpoint) as reader:
        say(json.dumps(row_document(loaded, reader, key), indent=2, ensure_ascii=False))
