"""The command for cron and slow work: `tick`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options, telling
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import note, say, say_json
from batchrun.cli.quantities import Time
from batchrun.cli.running import refuse_idle_options
from batchrun.cli.telling import Telling
from batchrun.clock import wall_clock

if TYPE_CHECKING:
    from batchrun.engine.events import Event
    from batchrun.errors import Exit
    from batchrun.runs.run import Result
    from batchrun.runs.scheduled import Wanted
    from batchrun.runs.slot_ticks import Carry, Stood
    from batchrun.spec.load import Job


@click.command(short_help="Go on with a job for a moment, for cron.")
@options.job
@options.overrides
@options.run_dir
@options.slot_to_run
@options.rehearsal()
@options.address
@options.accept_change
@click.option("--max-time", type=Time(), metavar="TIME", help="Send nothing more after so long: 50m, 1h.")
@click.option(
    "--quiet", is_flag=True, help="Nothing unless something is wrong; that another process runs the job is not."
)
@telling.options
@options.as_json
def tick(
    job: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    slot: str | None,
    emulator: bool,
    latency: str,
    replies: str,
    base_url: str | None,
    api_version: str,
    accept_change: bool,
    max_time: float | None,
    quiet: bool,
    telling: Telling,
    as_json: bool,
) -> None:
    """Go on with a job for a moment: collect what has finished, submit what is new, and exit.

    It waits for no answer, so it is what cron should run where answers take hours: each tick fetches those that are
    there by then. No more rows are in flight than `limits.in_flight`. One line says how the job stands.

    Of a job with a `schedule` it goes on with every slot that is not finished, then begins the one that is due, with a
    line for each. With --slot or --run-dir it goes on with that one alone.

    Exit codes are those of `run`, and 75 while another process runs the job; rows in flight are no failure. Of several
    slots it is the worst.
    """
    from batchrun.cli.ending import standing_line
    from batchrun.runs.options import Options, emulator_settings
    from batchrun.runs.run import run
    from batchrun.runs.scheduled import beginning
    from batchrun.runs.service import address_of
    from batchrun.runs.slot_ticks import settled
    from batchrun.spec.load import load_job

    refuse_idle_options(emulator)

    def carry(loaded: Job, seconds: float | None) -> Result:
        settings = emulator_settings(loaded, run_dir, latency, None, replies) if emulator else None
        address = address_of(base_url)
        choice = Options(
            run_dir, address, api_version, settings, accept_change=accept_change, patient=False, seconds=seconds
        )
        with telling.observing(loaded, chosen.planned(loaded), _observe) as observe:
            return run(loaded, choice, wall_clock, observe)

    chosen = RunChoice(job, overrides, run_dir, emulator, slot)
    if slot is None and run_dir is None and load_job(job, overrides).spec.schedule is not None:
        sys.exit(_tick_slots(chosen.wanted, carry, max_time, quiet=quiet, as_json=as_json))
    with _leaving_to_another(quiet=quiet), beginning(chosen.wanted, wall_clock()) as (loaded, record):
        result = settled(record, loaded, wall_clock, lambda: carry(loaded, max_time))
    if as_json:
        say_json(result.summary.document())
    elif not quiet or result.exit_code:
        say(standing_line(result))
    sys.exit(result.exit_code)


@contextmanager
def _leaving_to_another(*, quiet: bool) -> Iterator[None]:
    """A run that another process carries is left to it; with `quiet` without a word, for cron mails every word."""
    from batchrun.errors import LockedError

    try:
        yield
    except LockedError as error:
        if not quiet:
            raise
        sys.exit(error.exit_code)


def _tick_slots(wanted: Wanted, carry: Carry, seconds: float | None, *, quiet: bool, as_json: bool) -> Exit:
    """A tick of a scheduled job: a line for each slot that it touched."""
    from batchrun.errors import Exit, LockedError
    from batchrun.runs.slot_ticks import tick_slots, worst

    touched: list[Stood] = []
    for stood in tick_slots(wanted, carry, wall_clock, seconds, observe=_observe):
        touched.append(stood)
        if not as_json and not (quiet and (stood.exit_code is Exit.OK or isinstance(stood.error, LockedError))):
            say("\n".join([slot_line(stood), *(f"  {line}" for line in stood.notes)]))
    if as_json:
        say_json({"slots": [stood.document() for stood in touched]})
    elif not touched and not quiet:
        say(f"{wanted.path}: no slot is due, and none is unfinished; see `batchrun schedule show`")
    return worst(stood.exit_code for stood in touched)


def _observe(event: Event) -> None:
    from batchrun.engine.events import AlertFailed

    if isinstance(event, AlertFailed):
        note(f"an alert was not told: {event.reason}")


def slot_line(stood: Stood) -> str:
    """How a slot stands after a tick, in a line."""
    from batchrun.cli.ending import standing_line

    how = stood.state.replace("_", " ")
    if stood.result is not None:
        why = f" ({stood.why})" if stood.why and stood.result.stopped_by is None else ""
        return f"{stood.slot} {how}{why}: {standing_line(stood.result)}"
    why = str(stood.error or stood.why)
    return f"{stood.slot} {how}{': ' if why else ''}{why}"
