"""The command `watch`, and how `run` is watched: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.output import errors
from batchrun.clock import wall_clock

if TYPE_CHECKING:
    from batchrun.cli.live import Live
    from batchrun.cli.progress import Progress
    from batchrun.cli.screen import Screen
    from batchrun.runs.directory import RunDir
    from batchrun.spec.load import Job
    from batchrun.views.view import View

#: Looks at a checkpoint are at least so far apart (seconds). A large one is looked at less often.
_SECONDS = 0.5

plain = click.option("--plain", is_flag=True, help="Lines of text instead of a live view, as where no terminal is.")


def watched(
    job: Job, directory: RunDir, *, plain: bool, quiet: bool, mute: bool
) -> AbstractContextManager[Live | Progress]:
    """An observer that shows how a run goes on; with `quiet` one that says what is wrong, with `mute` nothing."""
    from batchrun.cli.progress import Progress
    from batchrun.views.meter import Meter

    meter = Meter(job.spec.name, wall_clock, job.spec.limits.rpm, job.spec.limits.max_cost)
    screen = None if quiet or mute else screen_of(plain=plain)
    if screen is None:
        return Progress(meter, wall_clock, quiet=quiet, mute=mute)
    from batchrun.cli.live import Live
    from batchrun.views.refresh import Refresh

    return Live(meter, screen, wall_clock, Refresh(directory, meter, wall_clock))


def screen_of(*, plain: bool) -> Screen | None:
    """The screen to draw on; None where lines serve better: no terminal, a dumb one, or the log of a CI."""
    stream = errors()
    if plain or stream is None or not stream.isatty() or os.environ.get("CI"):
        return None
    if os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return None
    from batchrun.cli.screen import Screen

    return Screen(stream, wall_clock)


@click.command(short_help="Watch a run from another terminal.")
@options.run_choice
@click.option("--once", is_flag=True, help="One picture of how it stands now.")
@plain
def watch(choice: RunChoice, once: bool, plain: bool) -> None:
    """Watch a run from another terminal, as `run` itself shows it. JOB is a job file or a run directory.

    It only reads, whether the run goes on, has died or has not begun, and ends when the run has ended and nobody holds
    it. Ctrl-C ends the watching; the run goes on.
    """
    from batchrun.cli.progress import Plain

    directory = choice.coming()
    screen = screen_of(plain=plain)
    show: Callable[[View], None] = Plain(wall_clock) if screen is None else screen.draw
    try:
        _watch(directory, show, once=once)
    finally:
        if screen is not None:
            screen.leave()


def _watch(directory: RunDir, show: Callable[[View], None], *, once: bool) -> None:
    from batchrun.views.look import look
    from batchrun.views.refresh import SHARE
    from batchrun.views.view import State

    while True:
        begun = wall_clock()
        view = look(directory, begun)
        show(view)
        if once or view.state is State.ENDED:
            return
        next_at = wall_clock() + max(_SECONDS, (wall_clock() - begun) / SHARE)
        while (left := next_at - wall_clock()) > 0:
            time.sleep(min(left, _SECONDS))  # there is no event loop here, and Ctrl-C ends it
            if left > _SECONDS:
                show(view)  # the terminal may have another size
