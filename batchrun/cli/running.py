"""The command `run`, and what it shares with the others that send: `tick`, `try`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from batchrun.cli import options, telling, watching
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import note, say, say_json
from batchrun.cli.telling import Telling
from batchrun.clock import wall_clock
from batchrun.errors import Exit

if TYPE_CHECKING:
    from batchrun.runs.run import Result
    from batchrun.spec.load import Job


@click.command()
@options.job
@options.overrides
@options.run_dir
@options.slot_to_run
@options.rehearsal()
@options.faults
@options.limit
@options.address
@options.accept_change
@options.webhooks
@click.option("--quiet", is_flag=True, help="No progress, and nothing at all if every row succeeded.")
@watching.plain
@click.option("--brief", is_flag=True, help="No progress, and one line on how the run stands: for cron.")
@telling.options
@options.as_json
def run(
    job: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    slot: str | None,
    emulator: bool,
    latency: str,
    replies: str,
    faults: str | None,
    limit: int | None,
    base_url: str | None,
    api_version: str,
    accept_change: bool,
    webhook: str | None,
    webhook_uri: str | None,
    quiet: bool,
    plain: bool,
    brief: bool,
    telling: Telling,
    as_json: bool,
) -> None:
    """Run a job, or go on with it where it stopped. Run it again: finished rows are never sent twice.

    If the job or its input was edited, and finished rows would be asked otherwise, it says which, what they would cost,
    and stops. With --accept-change it sends these rows again, and no others.

    Exit codes: 0 every row succeeded, 3 some did not, 4 rows wait for you (nobody can tell whether they were billed, or
    a plan is to be approved), 65 the job or its input is wrong, 75 try later, 77 no valid API key, 130 stopped.
    """
    from batchrun.runs.options import Options, emulator_settings
    from batchrun.runs.run import run as run_job
    from batchrun.runs.scheduled import beginning
    from batchrun.runs.service import address_of
    from batchrun.runs.slot_ticks import settled

    refuse_idle_options(emulator)
    chosen = RunChoice(job, overrides, run_dir, emulator, slot)
    address, heard = address_of(base_url), options.webhooks_of(webhook, webhook_uri)
    silent = quiet or brief or as_json
    with beginning(chosen.wanted, wall_clock()) as (loaded, record):
        chosen.knowing(loaded)
        if not (quiet or brief):
            warn(loaded)
        settings = emulator_settings(loaded, run_dir, latency, faults, replies) if emulator else None
        choice = Options(run_dir, address, api_version, settings, limit, accept_change=accept_change, webhooks=heard)
        directory = chosen.planned(loaded)
        with (
            watching.watched(loaded, directory, plain=plain, quiet=silent, mute=telling.aloud) as shown,
            telling.observing(loaded, directory, shown) as observe,
        ):
            carry = partial(run_job, loaded, choice, wall_clock, observe)
            result = settled(record, loaded, wall_clock, carry, whole=limit is None)
    with suppress(BrokenPipeError):  # the run's exit code says more than a reader that has left
        tell(result, chosen, as_json=as_json, quiet=quiet, brief=brief)
    sys.exit(result.exit_code)


def warn(job: Job) -> None:
    """What the service may ignore or refuse of the job, and what is left out of its files, once, on standard error."""
    for warning in job.warnings:
        note(f"warning: {warning}")
    for line in job.notes:
        note(line)


def refuse_idle_options(emulator: bool) -> None:
    """An option that does nothing may mean that a rehearsal is about to be a paid run."""
    context = click.get_current_context()
    idle = ("base_url", "api_version", "webhook", "webhook_uri") if emulator else ("latency", "replies", "faults")
    for name in context.params.keys() & set(idle):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} does nothing {'with' if emulator else 'without'} --emulator")


def tell(result: Result, choice: RunChoice, *, as_json: bool, quiet: bool, brief: bool) -> None:
    """How the run ended, for people or for programs; with `quiet` only if something is wrong."""
    from batchrun.cli.ending import report_end, standing_line

    if result.stopped_by is not None and not brief:
        note(str(result.stopped_by))
        if os.environ.get("BATCHRUN_TRACEBACK") and result.stopped_by.__cause__ is not None:
            raise result.stopped_by.__cause__
    if as_json:
        say_json(result.summary.document())
    elif quiet and result.exit_code is Exit.OK:
        return
    elif brief:
        say(f"{choice.slot} {standing_line(result)}" if choice.slot else standing_line(result))
    else:
        report_end(choice, result)
