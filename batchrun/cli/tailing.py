"""The command `tail`: the log of a run, as it is written."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterable
from io import UnsupportedOperation
from pathlib import Path
from typing import Any

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.output import output
from batchrun.cli.printing import note, write
from batchrun.errors import SpecError, StoreError

_LOOK_SECONDS = 0.25
#: Characters of a line that is no record of ours.
_LONGEST = 10_000


@click.command(short_help="The last records of a run's log.")
@options.run_choice
@click.option("-n", "--lines", "count", type=click.IntRange(0, 1_000_000), default=10, show_default=True,
              help="How many of the lines that are there.")  # fmt: skip
@click.option("-f/ ", "--follow/--no-follow", default=True, show_default=True, help="Go on with those that come.")
@click.option("--log-file", type=click.Path(path_type=Path), help="A log elsewhere, as `run --log-file` named it.")
@click.option("--json", "as_json", is_flag=True, help="The records as they are, JSON only.")
def tail(choice: RunChoice, count: int, follow: bool, log_file: Path | None, as_json: bool) -> None:
    """The last records of a run's log, and those that come, until Ctrl-C. JOB is a job file or a run directory.

    It need not have begun, and goes on from one run of it to the next, over rotations.
    """
    from batchrun.telemetry.following import Follower

    path = log_file or _log(choice)
    try:
        follower = Follower(path)
        if not follower.exists and not follow:
            raise SpecError(f"{path}: there is no log. `batchrun run` writes it, unless it is told --log-level off.")
        if not follower.exists:
            note(f"{path}: there is no log so far; waiting for a run")
        _print(follower.last(count), as_json)
        while follow:
            _print(follower.new(), as_json)
            _wait()
        follower.close()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise StoreError(f"{path}: cannot read the log: {error.strerror}.") from error


def _log(choice: RunChoice) -> Path:
    from batchrun.runs.directory import RunDir

    given = RunDir(choice.job).log
    return given if given.exists() else choice.coming().log


def _print(lines: Iterable[bytes], as_json: bool) -> None:
    text = "".join(_shown(line, as_json) for line in lines)
    if text:
        write(text)


def _shown(line: bytes, as_json: bool) -> str:
    """A line as it is printed. What is no record of ours is none to programs, and to people what it says."""
    from batchrun.telemetry.records import json_line, text_line

    record = _record(line)
    if record is None:
        return "" if as_json else _plain(line)
    try:
        return json_line(record) if as_json else text_line(record)
    except RecursionError:
        return "" if as_json else _plain(line)


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None for one that is no record: a text log's, or one that broke off."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _plain(line: bytes) -> str:
    from batchrun.telemetry.records import one_line

    return one_line(line.decode("utf-8", "backslashreplace").rstrip("\n")[:_LONGEST]) + "\n"


def _wait() -> None:
    """For a moment. Raises BrokenPipeError if nobody reads any more, though there is nothing to write."""
    try:
        descriptor = (output() or sys.stdout).fileno()
    except UnsupportedOperation:
        time.sleep(_LOOK_SECONDS)  # a stream that only Python knows: nobody can leave it
        return
    looking = select.poll()
    looking.register(descriptor, 0)
    if looking.poll(_LOOK_SECONDS * 1000):
        raise BrokenPipeError("nobody reads standard output")
