"""Arguments and options that several commands share, and the choice of a run that they add up to."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import completing
from batchrun.cli.output import own_output
from batchrun.clock import wall_clock
from batchrun.errors import SpecError

if TYPE_CHECKING:
    from batchrun.runs.directory import RunDir
    from batchrun.runs.hearing import Webhooks
    from batchrun.runs.scheduled import Wanted
    from batchrun.spec.load import Job

#: Runs that a refusal names.
_NAMED = 5


class _JobPath(click.Path):
    """What JOB is, said where it is left out."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        command = ctx.command_path if ctx else "batchrun run"
        return f"Say which job is meant, by its file: `{command} job.yaml`."


_job = click.argument("job", type=_JobPath(path_type=Path), shell_complete=completing.jobs)
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the job file, such as limits.rpm=60. May be repeated.",
)
run_dir = click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    shell_complete=completing.run_dirs,
    help="Directory of the run.  [default: runs/NAME beside the job file]",
)
slot = click.option(
    "--slot",
    metavar="SLOT",
    shell_complete=completing.slots,
    help="The slot of a scheduled job: its name, its time, its day.  [default: the latest that has a run]",
)
slot_to_run = click.option(
    "--slot",
    metavar="SLOT",
    shell_complete=completing.slots,
    help="The slot of a scheduled job: its name, its time, its day, or now.  [default: the latest that has begun]",
)
_emulator_flag = click.option("--emulator", is_flag=True, help="The run that was made on the emulator.")
replies = click.option(
    "--replies",
    default="synthetic",
    show_default=True,
    metavar="MODE",
    help="Where the emulator's answers come from: synthetic, script:FILE, openai:URL or gguf:PATH.",
)
faults = click.option("--faults", metavar="PLAN", help="Faults of the emulator, as in `batchrun emulator serve`.")
accept_change = click.option(
    "--accept-change",
    is_flag=True,
    help="Send rows again, and pay again, that an edited job or input asks otherwise than before.",
)
limit = click.option("--limit", type=click.IntRange(1), help="Only the first N rows of the input.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON only.")


def rehearsal(latency: str = "200ms") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a run on an emulator of its own, which takes so long if nothing else is said."""
    instead = click.option(
        "--emulator", is_flag=True, help="Rehearse on an emulator in the run's own process; costs nothing."
    )
    takes = click.option(
        "--latency", default=latency, show_default=True, help="How long the emulator takes: 200ms, lognormal:20s,1.0."
    )
    return lambda command: instead(takes(replies(command)))


def _refuse_empty(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """An address that was meant to be named, and is not, must not become that of the real service."""
    variable = f"{context.auto_envvar_prefix}_BASE_URL"
    if value == "" or (value is None and os.environ.get(variable) == ""):
        said = f"{variable} is empty" if value is None else "it is empty"
        raise click.BadParameter(f"{said}: write an address, or leave it out for the real service", context, option)
    return value


def base_url(about: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option that names the service."""
    return click.option("--base-url", metavar="URL", callback=_refuse_empty, help=about)


_base_url = base_url("Another address of the service: the one that the run was made against.")
_api_version = click.option(
    "--api-version", default="v1beta", show_default=True, help="Version in the service's paths."
)


def address(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name the service of a run to be made."""
    other = "Another address of the service, such as that of `emulator serve`."
    return base_url(other)(_api_version(command))


def service(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name the service of a run that exists."""
    return _base_url(_api_version(command))


def webhooks(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that let a run hear webhooks."""
    place = click.option(
        "--webhook", metavar="[HOST:]PORT", help="Hear the service's webhooks here; polls stay the truth."
    )
    uri = click.option(
        "--webhook-uri",
        metavar="URL",
        help="Your public address, which leads to --webhook: requests ask for events there.",
    )
    return place(uri(command))


def webhooks_of(place: str | None, uri: str | None) -> Webhooks | None:
    """How a run is to hear webhooks, None if it is not. Raises SpecError."""
    if place is None and uri is not None:
        raise click.UsageError("--webhook-uri does nothing without --webhook")
    if place is None:
        return None
    from batchrun.runs.hearing import webhooks_of

    return webhooks_of(place, uri or "")


def job(command: Callable[..., Any]) -> Callable[..., Any]:
    """JOB. Its Python modules run in the command, which keeps standard output to itself."""

    @wraps(command)
    def alone(*arguments: Any, **options: Any) -> Any:
        with own_output():
            return command(*arguments, **options)

    return _job(alone)


@dataclass
class RunChoice:
    """Which run of which job a command is about. Once the job is loaded, `slot` is the name of its slot."""

    job: Path
    overrides: tuple[str, ...] = ()
    run_dir: Path | None = None
    emulated: bool = False
    slot: str | None = None

    @property
    def wanted(self) -> Wanted:
        """The same, for what loads a job for its slot."""
        from batchrun.runs.scheduled import Wanted

        return Wanted(self.job, self.overrides, self.slot, self.run_dir, self.emulated)

    def load(self) -> Job:
        """The job, of a scheduled one for the slot to look at. Raises SpecError."""
        from batchrun.runs.scheduled import existing

        return self.knowing(existing(self.wanted, wall_clock()))

    def load_planned(self) -> Job:
        """The job as `run` would load it. Raises SpecError."""
        from batchrun.runs.scheduled import planned

        return self.knowing(planned(self.wanted, wall_clock()))

    def knowing(self, job: Job) -> Job:
        """The job, whose slot is kept: what commands are told to be used next has to be about the same."""
        if job.dates is not None and self.run_dir is None:
            self.slot = job.dates.slot
        return job

    def directory(self, job: Job) -> RunDir:
        """The run to look at."""
        from batchrun.runs.directory import existing_run_dir

        return existing_run_dir(job, self.run_dir, emulated=self.emulated)

    def look(self) -> tuple[Job | None, RunDir]:
        """The run to look at, with its job unless a run directory was given in its place. Raises SpecError."""
        from batchrun.runs.directory import RunDir

        given = RunDir(self.job)
        if given.checkpoint.is_file():
            return None, given
        job = self.load()
        return job, self.directory(job)

    def coming(self) -> RunDir:
        """The run to look at or to wait for: only a job file can name one that has not begun. Raises SpecError."""
        from batchrun.runs.directory import RunDir

        given = RunDir(self.job)
        if not self.job.is_dir():
            return self.directory(self.load())
        if not given.begun:
            raise SpecError(_no_run(self.job))
        return given

    def planned(self, job: Job) -> RunDir:
        """The run that `run` would make or go on with."""
        from batchrun.runs.directory import run_dir

        return run_dir(job, self.run_dir, emulated=self.emulated)

    def words(self, *, emulated: bool) -> str:
        """The arguments that name the same run for another command."""
        words = [str(self.job), *(word for setting in self.overrides for word in ("--set", setting))]
        words += ["--run-dir", str(self.run_dir)] if self.run_dir else []
        words += ["--slot", self.slot] if self.slot else []
        return shlex.join([*words, *(["--emulator"] if emulated else [])])


def _no_run(directory: Path) -> str:
    """That a directory is none of a run, and what to name instead."""
    from batchrun.reports.inventory import Search

    first = [str(each.path) for each in islice(Search(directory).directories(), _NAMED + 1)]
    none = f"{directory}: no run is in this directory"
    if not first:
        return f"{none}, and none was found below it. Name a run's directory, or its job file."
    names = ", ".join(sorted(first[:_NAMED]))
    more = f" and more (`batchrun runs {shlex.quote(str(directory))}`)" if len(first) > _NAMED else ""
    return f"{none} itself. Name one that is below it: {names}{more}; or the job file."


def run_choice(command: Callable[..., Any], which: Callable[..., Any] = slot) -> Callable[..., Any]:
    """JOB and the options that name one run of it; the command gets them as one RunChoice."""

    @wraps(command)
    def chosen(
        job: Path, overrides: tuple[str, ...], run_dir: Path | None, emulator: bool, slot: str | None, **others: Any
    ) -> Any:
        return command(RunChoice(job, overrides, run_dir, emulator, slot), **others)

    named: Callable[..., Any] = run_dir(which(_emulator_flag(overrides(job(chosen)))))
    return named


def planned_choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that speaks of the run that `run` would make."""
    return run_choice(command, slot_to_run)
