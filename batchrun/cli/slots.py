"""The command that tells what became of a job's slots: `schedule slots`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.printing import say, say_json

if TYPE_CHECKING:
    from batchrun.schedule.record import Entry


@click.command(short_help="What became of the slots so far.")
@options.job
@options.overrides
@click.option("--emulator", is_flag=True, help="The slots of rehearsals.")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="How many, from the latest back.")
@options.as_json
def slots(job: Path, overrides: tuple[str, ...], emulator: bool, last: int, as_json: bool) -> None:
    """What became of the slots whose time has come: which were run, which were not, and why."""
    from batchrun.runs.directory import runs_of
    from batchrun.runs.scheduled import scheduled
    from batchrun.schedule.record import Record
    from batchrun.spec.load import load_job

    loaded = load_job(job, overrides)
    scheduled(loaded)
    record = Record.found_in(runs_of(loaded, emulated=emulator))
    entries: list[Entry] = []
    if record is not None:
        with record:
            entries = record.entries()[-last:]
    if as_json:
        say_json([asdict(entry) for entry in entries])
    else:
        say("\n".join(_lines(entries)))


def _lines(entries: list[Entry]) -> Iterator[str]:
    if not entries:
        yield "No slot was decided about yet: `tick` and `schedule run` do that. Those of rehearsals: `--emulator`."
    for entry in entries:
        begun = f", begun {_when(entry.begun_at)}" if entry.begun_at is not None else ""
        over = f", over {_when(entry.over_at)}" if entry.over_at is not None and entry.begun_at is not None else ""
        why = f": {entry.why}" if entry.why else ""
        yield f"{entry.name}  {entry.state.replace('_', ' ')}{begun}{over}{why}"


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
