"""The command for cron and slow work: `tick`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options, telling
from batchrun.cli.printing import note, say, say_json
from batchrun.cli.running import refuse_idle_options
from batchrun.cli.telling import Telling
from batchrun.clock import wall_clock
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.engine.events import Event
    from batchrun.outputs.summary import Summary
    from batchrun.runs.run import Result


class _Time(click.ParamType[float]):
    """Seconds from text such as `50m`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from batchrun.spec.fields import parse_duration

        try:
            seconds = parse_duration(value)
            return float(seconds)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            self.fail(str(error), param, ctx)


@click.command()
@options.job
@options.overrides
@options.run_dir
@click.option("--emulator", is_flag=True, help="Rehearse on an emulator in this process; costs nothing.")
@click.option("--latency", default="200ms", show_default=True, help="How long the emulator takes, as in `run`.")
@options.replies
@options.address
@click.option("--accept-change", is_flag=True, help="Send rows again, and pay again, that were edited, as in `run`.")
@click.option("--max-time", type=_Time(), metavar="TIME", help="Send nothing more after so long: 50m, 1h.")
@click.option("--quiet", is_flag=True, help="Nothing at all if nothing failed.")
@telling.options
@options.as_json
def tick(
    job: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
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

    Exit codes are those of `run`, and 75 while another process runs the job; rows in flight are no failure.
    """
    from batchrun.interactions.client import DEFAULT_BASE_URL
    from batchrun.runs.options import Options, emulator_settings
    from batchrun.runs.run import run
    from batchrun.spec.load import load_job

    refuse_idle_options(emulator)
    loaded = load_job(job, overrides)
    settings = emulator_settings(loaded, run_dir, latency, None, replies) if emulator else None
    address = base_url or DEFAULT_BASE_URL
    choice = Options(
        run_dir, address, api_version, settings, accept_change=accept_change, patient=False, seconds=max_time
    )
    planned = options.RunChoice(job, overrides, run_dir, emulator).planned(loaded)
    with telling.observing(loaded, planned, _observe) as observe:
        result = run(loaded, choice, wall_clock, observe)
    if as_json:
        say_json(result.summary.document())
    elif not quiet or result.exit_code:
        say(tick_line(result))
    sys.exit(result.exit_code)


def _observe(event: Event) -> None:
    from batchrun.engine.events import AlertFailed

    if isinstance(event, AlertFailed):
        note(f"an alert was not told: {event.reason}")


def tick_line(result: Result) -> str:
    """How a job stands after a tick, in a line."""
    summary = result.summary
    parts = [f"{summary.succeeded:,} of {counted(summary.rows, 'row')} done", *_parts(summary)]
    parts.append(f"{counted(summary.posts_this_run, 'POST')} now")
    stopped = f"; {result.stopped_by}" if result.stopped_by is not None else ""
    return f"{summary.job}: {', '.join(parts)}{stopped}"


def _parts(summary: Summary) -> list[str]:
    counts = {
        "in flight": summary.in_flight,
        "to be sent": summary.pending - summary.in_flight,
        "failed": summary.unusable,
        "skipped": summary.skipped,
        "wait for you": summary.held,
    }
    return [f"{count:,} {name}" for name, count in counts.items() if count]
