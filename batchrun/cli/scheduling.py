"""The commands about schedules: `schedule show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import options
from batchrun.cli.printing import say, say_json
from batchrun.clock import wall_clock
from batchrun.plurals import duration

if TYPE_CHECKING:
    from batchrun.schedule.slots import Slot
    from batchrun.spec.load import Job
    from batchrun.spec.scheduling import ScheduleSpec


@click.group(short_help="When a job runs by itself, by the clock.")
def schedule() -> None:
    """When a job runs by itself, by the `schedule` section of its file."""


@schedule.command(short_help="The next times at which a job begins.")
@options.job
@options.overrides
@click.option("--next", "count", default=5, show_default=True, type=click.IntRange(1, 1000), help="How many slots.")
@options.as_json
def show(job: Path, overrides: tuple[str, ...], count: int, as_json: bool) -> None:
    """The next times at which the job is to begin, in its time zone and in UTC, with what the clock does to them."""
    from batchrun.runs.scheduled import scheduled
    from batchrun.schedule.slots import slots
    from batchrun.spec.load import load_job

    loaded = load_job(job, overrides)
    spec = scheduled(loaded)
    now = datetime.fromtimestamp(wall_clock(), UTC)
    coming = list(islice(slots(spec, loaded.spec.name, now), count))
    if as_json:
        say_json({"schedule": spec.model_dump(), "slots": [_document(slot) for slot in coming]})
    else:
        say("\n".join(_lines(loaded, spec, now, coming)))


def _lines(job: Job, spec: ScheduleSpec, now: datetime, coming: list[Slot]) -> Iterator[str]:
    from cronsim import CronSim

    from batchrun.schedule.slots import around, next_change

    yield f"{job.spec.name}: {CronSim(spec.cron, now).explain()}, {spec.timezone} ({spec.cron})"
    yield from _rows(spec, coming, now)
    change = next_change(spec, now)
    if change is not None and change > coming[-1].at:
        yield "When the clock changes next:"
        yield from _rows(spec, around(spec, job.spec.name, change), coming[-1].at)


def _rows(spec: ScheduleSpec, coming: Iterable[Slot], before: datetime) -> Iterator[str]:
    """A line for each slot; `before` is the time before the first one."""
    from batchrun.schedule.slots import oddity

    for slot in coming:
        later = f", {duration(slot.delay.total_seconds())} later by jitter" if slot.delay else ""
        odd = oddity(spec, slot, before)
        noted = later + (f"  ({odd})" if odd else "")
        yield f"  {slot.at:%a %Y-%m-%d %H:%M %Z}  {slot.at.astimezone(UTC):%Y-%m-%d %H:%M UTC}{noted}"
        before = slot.at


def _document(slot: Slot) -> dict[str, Any]:
    return {"name": slot.name, "date": slot.date, "at": slot.at.isoformat(), "begins": slot.begins.isoformat()}
