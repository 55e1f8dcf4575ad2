"""A daemon in virtual time. In the place of child processes are tasks that go on with slots on the same record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrun.daemon.children import Hear
from batchrun.daemon.daemon import Daemon
from batchrun.daemon.jobs import JobFile, JobFiles
from batchrun.daemon.messages import Message
from batchrun.daemon.watch import Shared
from batchrun.schedule.record import Entry, Record
from batchrun.schedule.verdicts import State, Verdict
from tests.virtual_time import VirtualTime

#: How long a process takes to start, and to stop, in seconds.
STARTS, STOPS = 1.5, 2.0


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened to a slot at `wall` (Unix seconds)."""

    wall: float
    job: str
    what: str
    slot: str


@dataclass
class Work:
    """What the service keeps, whoever lives: when what each slot has begun will be done.

    `log` has what happened to each slot of each job, in order: its verdict, `begin`, `blocked` and `over`. `takes` says
    how many seconds a job's slot needs, `ends` how it ends: DONE, HELD or BLOCKED.
    """

    takes: Callable[[str, str], float] = lambda job, slot: 30.0
    ends: Callable[[str, str], State] = lambda job, slot: State.DONE
    log: list[Happened] = field(default_factory=list)
    until: dict[tuple[str, str], float] = field(default_factory=dict)

    def begun(self, job: str) -> list[str]:
        return [each.slot for each in self.log if (each.job, each.what) == (job, "begin")]


class Shift:
    """A child's work: what `tick_slots` does with a run that waits for its answers."""

    def __init__(self, job: JobFile, work: Work, wall: Callable[[], float], hear: Hear) -> None:
        self._job, self._work, self._wall, self._hear = job, work, wall, hear
        self._stop, self._dies = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._whole())

    async def wait(self) -> int:
        return await asyncio.shield(self._task)

    def stop(self) -> None:
        self._stop.set()

    def kill(self) -> None:
        self._dies.set()
        self._stop.set()

    async def _whole(self) -> int:
        await asyncio.sleep(STARTS)
        with Record(self._job.home) as record:
            for entry in record.open():
                if not await self._go_on(record, entry):
                    return self._code
            while (begun := record.begin_next(self._wall())) is not None:
                self._log("begin", begun.name)
                if not await self._go_on(record, begun):
                    return self._code
        return 0

    @property
    def _code(self) -> int:
        return -9 if self._dies.is_set() else 130

    async def _go_on(self, record: Record, entry: Entry) -> bool:
        """False if it was stopped."""
        if entry.state is State.REPLACED:
            self._settle(record, entry.name, State.DONE, over=True)
            return True
        key = self._job.name, entry.name
        soonest = asyncio.get_running_loop().time() + self._work.takes(*key)
        try:
            async with asyncio.timeout_at(self._work.until.setdefault(key, soonest)):
                await self._stop.wait()
        except TimeoutError:
            state = self._work.ends(*key)
            self._settle(record, entry.name, state, over=state is not State.BLOCKED)
            return True
        if not self._dies.is_set():
            await asyncio.sleep(STOPS)
        return False

    def _settle(self, record: Record, name: str, state: State, *, over: bool) -> None:
        record.settle(name, state, "", self._wall(), over=over)
        self._log("over" if over else "blocked", name)
        self._hear({"slot": name, "state": state, "code": 0, "text": f"{name} {state}"})

    def _log(self, what: str, slot: str) -> None:
        self._work.log.append(Happened(self._wall(), self._job.name, what, slot))


class Post:
    """A daemon for the jobs in a directory. `told` is what it said, `verdicts` what alerts would be told."""

    def __init__(self, where: Path, clock: VirtualTime | None = None, work: Work | None = None, **more: Any) -> None:
        self.where, self.clock, self.work = where, clock or VirtualTime(), work or Work()
        self.more = {"pulse": 60.0, "every": 15.0, "at_once": 4, **more}
        self.told: list[Message] = []
        self.verdicts: list[tuple[str, Verdict]] = []
        self.shifts: list[Shift] = []
        self.beats: list[float] = []
        self.daemon: Daemon | None = None

    def write(self, name: str, cron: str, **schedule: Any) -> Path:
        path = self.where / f"{name}.yaml"
        lines = [f"  {key}: {value}" for key, value in {"cron": f"'{cron}'", **schedule}.items()]
        request = "request: {model: gemini-3.5-flash, input: hello}"
        path.write_text("\n".join([f"name: {name}", "input: {path: rows.jsonl}", request, "schedule:", *lines, ""]))
        return path

    def live(self, seconds: float, *events: tuple[float, Callable[[], object]]) -> bool:
        """Run it for so many seconds, with what happens meanwhile. Returns what `Daemon.run` does."""

        async def life() -> bool:
            loop = asyncio.get_running_loop()
            self.daemon = self._daemon()
            loop.call_later(seconds, self.daemon.leave)
            for after, act in events:
                loop.call_later(after, act)
            return await self.daemon.run()

        return self.clock.run(life())

    def record(self, name: str) -> dict[str, Entry]:
        """What became of each slot of a job, by its name."""
        with Record(self.where / "runs" / name) as record:
            return {entry.name: entry for entry in record.entries()}

    def states(self, name: str) -> list[str]:
        """`23T03:00 done` of each slot of a job, in order."""
        return [f"{slot[8:15]} {entry.state}" for slot, entry in self.record(name).items()]

    def texts(self, action: str) -> list[str]:
        return [message.text for message in self.told if message.action == action]

    def _daemon(self) -> Daemon:
        def launch(job: JobFile, hear: Hear) -> Shift:
            self.shifts.append(Shift(job, self.work, self.clock.wall, hear))
            return self.shifts[-1]

        def on_verdict(job: JobFile, verdict: Verdict) -> None:
            self.verdicts.append((job.name, verdict))
            self.work.log.append(Happened(self.clock.wall(), job.name, verdict.state, verdict.slot.name))

        places = asyncio.Semaphore(self.more["at_once"])
        shared = Shared(launch, self.clock.wall, self.told.append, places, on_verdict, self.more["pulse"])
        beat = lambda: self.beats.append(self.clock.now)  # noqa: E731
        return Daemon(JobFiles([self.where]), shared, beat, grace=60.0, every=self.more["every"])
