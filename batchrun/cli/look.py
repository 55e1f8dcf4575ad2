"""The commands that look: status and show. They open the checkpoint read-only, also while a run goes on."""

from __future__ import annotations

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import say, say_json
from batchrun.clock import wall_clock


@click.command()
@options.run_choice
@options.as_json
def status(choice: RunChoice, as_json: bool) -> None:
    """Where a run stands. JOB is a job file or a run directory."""
    from batchrun.cli.ending import summary_lines
    from batchrun.outputs.summary import summarize
    from batchrun.runs.directory import RunDir
    from batchrun.runs.expiry import expiry_lines, expiry_of
    from batchrun.store.lock import running
    from batchrun.store.reader import Reader

    given = RunDir(choice.job)
    directory = given if given.checkpoint.is_file() else choice.directory(choice.load())
    with Reader(directory.checkpoint) as reader, reader.snapshot():
        summary, expiry = summarize(reader), expiry_of(reader, wall_clock())
    if as_json:
        say_json(summary.document())
        return
    say("\n".join([*summary_lines(summary), *expiry_lines(expiry)]))
    holder = running(directory.path)
    say(f"running: {holder}" if holder else "not running")
    say(f"run directory: {directory.path}")


@click.command()
@options.run_choice
@click.argument("key")
def show(choice: RunChoice, key: str) -> None:
    """Everything about one row: its request, every attempt, the raw answer, the outcome."""
    from batchrun.reports.rows import row_document
    from batchrun.store.reader import Reader

    loaded = choice.load()
    with Reader(choice.directory(loaded).checkpoint) as reader:
        say_json(row_document(loaded, reader, key))
