"""The commands about the daemon: `schedule run` and `schedule health`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import options
from batchrun.cli.printing import say, write
from batchrun.cli.quantities import Time
from batchrun.cli.running import refuse_idle_options
from batchrun.clock import wall_clock
from batchrun.errors import Exit, StoreError
from batchrun.plurals import stamp

if TYPE_CHECKING:
    import asyncio

    from batchrun.daemon.daemon import Daemon
    from batchrun.daemon.heartbeat import Hold
    from batchrun.daemon.messages import Message, Tell

#: What a child does.
_ENTRY = "batchrun.cli.child"


def add_to(schedule: click.Group) -> None:
    """Make these commands members of the group."""
    for command in (run, health):
        schedule.add_command(command)


@click.command(short_help="A daemon for all jobs of a directory.")
@click.argument("places", metavar="DIR|JOB...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@options.overrides
@options.rehearsal()
@options.address
@options.accept_change
@click.option("--at-once", default=4, show_default=True, type=click.IntRange(1, 1000), help="How many jobs may run.")
@click.option(
    "--grace", type=Time(), default="60s", show_default=True, metavar="TIME", help="How long a run may take to stop."
)
@click.option("--quiet", is_flag=True, help="Only what is wrong, or was left out.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For people, or JSON."
)
def run(
    places: tuple[Path, ...],
    overrides: tuple[str, ...],
    emulator: bool,
    latency: str,
    replies: str,
    base_url: str | None,
    api_version: str,
    accept_change: bool,
    at_once: int,
    grace: float,
    quiet: bool,
    log_format: str,
) -> None:
    """Run the scheduled jobs in a directory, each slot once, until SIGTERM or Ctrl-C.

    Job files may come, change and go meanwhile. Each job runs in a process of its own, which waits for its answers; its
    slots are begun, queued, skipped or replaced as its `schedule` says, and those that were missed are caught up with.
    It may be killed at any moment: started again, it goes on. One line says what becomes of each slot.

    Exit codes: 0 stopped by SIGTERM or Ctrl-C, 143 or 130 if runs did not stop in time and were killed, 65 a directory
    cannot be used, 75 another daemon runs these jobs, 77 no API key.
    """
    refuse_idle_options(emulator)
    from batchrun.runs.service import address_of, api_key, checked_base_url

    address = checked_base_url(address_of(base_url))
    if not emulator:
        api_key(address)
    given = {
        "overrides": overrides,
        "emulator": emulator,
        "latency": latency,
        "replies": replies,
        "base_url": address,
        "api_version": api_version,
        "accept_change": accept_change,
    }
    sys.exit(serve(places, given, teller(log_format, quiet=quiet), at_once=at_once, grace=grace))


@click.command(short_help="Whether that daemon lives and is not stuck.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True))
def health(directory: Path) -> None:
    """Whether the daemon of a directory lives and has not been stuck for the last two minutes. For health checks.

    Exit codes: 0 it does, 1 it does not, which is told.
    """
    from batchrun.daemon.heartbeat import trouble

    if (found := trouble(directory if directory.is_dir() else directory.parent, wall_clock())) is not None:
        say(found)
        sys.exit(1)


def serve(
    places: Sequence[Path],
    given: dict[str, Any],
    tell: Tell,
    *,
    at_once: int,
    grace: float,
    wall: Callable[[], float] = wall_clock,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Exit:
    """Run the daemon until a signal. `given` is what every child is told. Raises LockedError, SpecError, StoreError."""
    import asyncio

    from batchrun import environment
    from batchrun.daemon.alarm import Alarm
    from batchrun.daemon.children import Launcher
    from batchrun.daemon.daemon import Daemon
    from batchrun.daemon.jobs import JobFiles
    from batchrun.daemon.messages import ignore
    from batchrun.daemon.watch import Shared

    launcher = Launcher(_ENTRY, {**given, "secrets": environment.secrets()}, at_once)

    async def main(holds: Sequence[Hold]) -> Exit:
        def beat() -> None:
            launcher.reap()
            for hold in holds:
                hold.beat(wall())

        files = JobFiles(places, given["overrides"], given["emulator"])
        alarm = Alarm(wall, tell)
        heard = ignore if given["emulator"] else alarm  # of a rehearsal nobody is told
        shared = Shared(launcher, wall, tell, asyncio.Semaphore(at_once), heard)
        code = await _until_told(Daemon(files, shared, beat, grace))
        await alarm.aclose(grace)
        return code

    with ExitStack() as stack, asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main([stack.enter_context(closing(hold)) for hold in _holds(places)]))


async def _until_told(daemon: Daemon) -> Exit:
    """The first signal stops it, the second leaves at once. As process 1 it would have no default for either."""
    from batchrun.runs.signals import first_signal

    signals: list[int] = []

    def leave(number: int) -> None:
        signals.append(number)
        daemon.leave()

    first_signal(leave)
    in_time = await daemon.run()
    return Exit.OK if in_time else Exit(128 + signals[0])


def _holds(places: Sequence[Path]) -> list[Hold]:
    from batchrun.daemon.heartbeat import Hold, place_of
    from batchrun.runs.directory import RunDir

    directories = dict.fromkeys(place if place.is_dir() else place.parent for place in places)
    for directory in directories:
        RunDir(place_of(directory)).make()
    return [Hold(directory) for directory in directories]


def teller(log_format: str, *, quiet: bool) -> Tell:
    """Writes lines on standard output. One that cannot be written is dropped: jobs go on without."""

    def tell(message: Message) -> None:
        if quiet and not message.bad:
            return
        with suppress(BrokenPipeError, StoreError):
            if log_format == "json":
                write(json.dumps(_document(message)) + "\n")
            else:
                said = "; ".join(message.text.splitlines())
                say(f"{stamp(wall_clock())} {message.job}{': ' if message.job else ''}{said}")

    return tell


def _document(message: Message) -> dict[str, Any]:
    parts = {"job": message.job, "slot": message.slot, "state": message.state}
    known = {name: value for name, value in parts.items() if value}
    return {"time": stamp(wall_clock()), "action": message.action, "bad": message.bad, **known, "text": message.text}
