"""The commands that look: status, show and verify. They open the checkpoint read-only, also while a run goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from batchrun.cli import completing, options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import json_text, say, say_json, write
from batchrun.clock import wall_clock
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.aftercare.verification import Verified
    from batchrun.runs.directory import RunDir


@click.command()
@options.run_choice
@options.as_json
def status(choice: RunChoice, as_json: bool) -> None:
    """Where a run stands. JOB is a job file or a run directory."""
    from dataclasses import asdict

    from batchrun.cli.ending import summary_lines
    from batchrun.outputs.summary import summarize
    from batchrun.runs.expiry import expiry_lines, expiry_of
    from batchrun.runs.steering import pause_lines
    from batchrun.store.control import Control
    from batchrun.store.damage import explained
    from batchrun.store.lock import running
    from batchrun.store.reader import Reader

    _, directory = choice.look()
    control = Control(directory.path)
    pause = control.pause() if as_json else None
    with explained(directory.checkpoint), Reader(directory.checkpoint) as reader, reader.snapshot():
        summary, expiry = summarize(reader), expiry_of(reader, wall_clock())
        more = {"expiry": expiry and asdict(expiry), "pause": pause and asdict(pause)}
        document = json_text({**summary.document(), **more}) if as_json else ""
        lines = [*summary_lines(summary), *expiry_lines(expiry)]
    if as_json:
        write(f"{document}\n")
        return
    say("\n".join(lines))
    holder = running(directory.path)
    say(f"running: {holder}" if holder else "not running")
    for line in pause_lines(control):
        say(line)
    say(f"run directory: {directory.path}")


@click.command(short_help="Everything about one row.")
@options.run_choice
@click.argument("key", shell_complete=completing.rows)
def show(choice: RunChoice, key: str) -> None:
    """Everything about one row: its request, every attempt, the raw answer, the outcome.

    In a job of stages KEY is STAGE:KEY, or without the stage the row in all of them.
    """
    from batchrun.reports.rows import row_documents
    from batchrun.store.damage import explained
    from batchrun.store.reader import Reader

    loaded = choice.load()
    path = choice.directory(loaded).checkpoint
    with explained(path), Reader(path) as reader:
        documents = row_documents(loaded, reader, key)
    say_json(documents)


@click.command(short_help="Whether a run's books add up.")
@options.run_choice
@options.as_json
def verify(choice: RunChoice, as_json: bool) -> None:
    """Go over a run's books: rows, intents, answers, usage, output files and media. Nothing is sent or changed.

    JOB is a job file or a run directory. Exit code 70 if something does not add up, with what and where.
    """
    from batchrun.aftercare.verification import verify as verify_run

    _, directory = choice.look()
    found = verify_run(directory)
    if as_json:
        say_json(found.document())
    else:
        for each in found.differences:
            say(f"{each.law}: {each.where}: {each.said}")
        say(_verdict(found, directory))
    sys.exit(found.exit_code)


def _verdict(found: Verified, directory: RunDir) -> str:
    what = f"{counted(found.rows, 'row')}, {counted(found.attempts, 'attempt')}, {counted(found.files, 'file')}"
    if found.differences:
        return f"{directory.path}: {counted(len(found.differences), 'difference')} in {what}"
    older = "; the output files are of an earlier state: `batchrun export` brings them up to date"
    return f"{directory.path}: {what}: everything adds up{older if found.stale else ''}"
