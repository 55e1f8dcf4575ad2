"""The commands that say something to a run from another terminal: pause, resume, set, drain, detach."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import completing, options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import fail, say
from batchrun.clock import wall_clock
from batchrun.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchrun.runs.directory import RunDir
    from batchrun.store.control import Verb

#: How long a command waits for an answer, in seconds: a run looks twice a second.
_PATIENCE = 5.0


@click.command(short_help="Send nothing more until `resume`.")
@options.run_choice
def pause(choice: RunChoice) -> None:
    """Send nothing more until `resume`; what is in flight is polled. JOB is a job file or a run directory.

    It holds over restarts, which say so. If nobody runs the job the next run begins paused.
    """
    from batchrun.store.control import Verb

    _say(choice, Verb.PAUSE)


@click.command()
@options.run_choice
def resume(choice: RunChoice) -> None:
    """Take back a `pause`. JOB is a job file or a run directory."""
    from batchrun.store.control import Verb

    _say(choice, Verb.RESUME)


@click.command("set", short_help="Give a run that goes on other limits.")
@options.run_choice
@click.argument("settings", nargs=-1, metavar="LIMIT=VALUE...", shell_complete=completing.limits)
def set_(choice: RunChoice, settings: tuple[str, ...]) -> None:
    """Give a run that goes on other limits: limits.rpm=300, tpm, in_flight, max_cost; null for none.

    In a job of stages also stages.NAME.limits.rpm, tpm and max_cost. JOB is a job file or a run directory. It holds
    until this run's process ends; the job file stays as it is.
    """
    if not settings or ("=" in choice.job.name and not choice.job.exists()):
        raise click.UsageError("the job comes first, then its limits: `batchrun set job.yaml limits.rpm=300`")
    from batchrun.runs.settings import read_settings
    from batchrun.store.control import Verb

    _say(choice, Verb.SET, read_settings(settings))


@click.command(short_help="Let a run end what it has begun, and exit.")
@options.run_choice
def drain(choice: RunChoice) -> None:
    """Let a run finish the rows that it has begun, begin no other, and exit. JOB is a job file or a run directory."""
    from batchrun.store.control import Verb

    _say(choice, Verb.DRAIN)


@click.command(short_help="Let a run submit what is left, and exit.")
@options.run_choice
def detach(choice: RunChoice) -> None:
    """Let a run submit what is left, within its limits, and exit without waiting for answers.

    A later `run` or `tick` collects them. JOB is a job file or a run directory.
    """
    from batchrun.store.control import Verb

    _say(choice, Verb.DETACH)


def _say(choice: RunChoice, verb: Verb, settings: Mapping[str, Any] | None = None) -> None:
    """Ends with 0 if it was done, 65 if the run could not do it, 75 if nobody has answered."""
    from batchrun.runs.wishes import say as say_to

    said = say_to(_directory(choice), verb, settings or {}, wall_clock, _PATIENCE)
    if said.done:
        say(said.text)
        return
    fail(said.text)
    sys.exit(Exit.BAD_INPUT if said.heard else Exit.TRY_LATER)


def _directory(choice: RunChoice) -> RunDir:
    """The run directory, which must be this job's where a job was given. Raises SpecError, StoreError."""
    from batchrun.runs.directory import require_job
    from batchrun.store.reader import Reader

    job, directory = choice.look()
    directory.require_ours()
    with Reader(directory.checkpoint, older=True) as reader:
        if job is not None:
            require_job(job, directory, reader)
    return directory
