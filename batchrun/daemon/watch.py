"""One job of the daemon's: its slots are decided about when their time comes, and a child goes on with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from batchrun.daemon.children import Child, Launch
from batchrun.daemon.jobs import PATIENCE, JobFile
from batchrun.daemon.messages import Message, OnVerdict, Tell, ignore
from batchrun.errors import BatchrunError, Exit
from batchrun.plurals import duration
from batchrun.runs.directory import RunDir
from batchrun.schedule.deciding import decided
from batchrun.schedule.record import Record
from batchrun.schedule.slots import PROMPT, slots
from batchrun.schedule.verdicts import State, Verdict

#: Seconds until a child is started again that left something undone: at first, and at most.
_SOON, _LATE = 5.0, 600.0
#: Of so many slots the last line is remembered.
_REMEMBERED = 20
_BAD = (State.SKIPPED, State.PASSED_OVER, State.BLOCKED, State.HELD, State.GIVEN_UP)


@dataclass(frozen=True)
class Shared:
    """What all watches have in common.

    `wall` is Unix time, `places` are those of the children that may run at once, `pulse` (seconds) is for how long a
    watch sleeps at most: a clock may be set, and a machine be put to sleep.
    """

    launch: Launch
    wall: Callable[[], float]
    tell: Tell
    places: asyncio.Semaphore
    on_verdict: OnVerdict = ignore
    pulse: float = 60.0


class Watch:
    """Looks after one job until `leave`. `job` may be replaced, and is None while its file is gone or broken."""

    def __init__(self, job: JobFile, shared: Shared) -> None:
        self.job: JobFile | None = job
        self._shared = shared
        self._stir = asyncio.Event()
        self._leaving = False
        self._coming: datetime | None = None
        self._carrying: asyncio.Task[None] | None = None
        self._child: Child | None = None
        self._left: frozenset[str] = frozenset()
        self._tries, self._again = 0, 0.0
        self._replaced = False
        self._said: dict[str, str] = {}

    @property
    def child(self) -> Child | None:
        """The child that runs now."""
        return self._child

    def change(self, job: JobFile | None) -> None:
        """Its file has been edited, removed, or is there again."""
        self.job, self._coming, self._tries = job, None, 0
        self._left = frozenset()
        self._stir.set()

    def leave(self) -> None:
        """Begin nothing more, and have the child stop."""
        self._leaving = True
        self._stir.set()
        if self._child is not None:
            self._child.stop()
        elif self._carrying is not None:  # it waits for its place
            self._carrying.cancel()

    async def run(self) -> None:
        """Until `leave`, and then until its child has ended."""
        while not self._leaving:
            seconds = self._seconds() if self._looked() else _SOON
            self._stir.clear()
            await self._stirred(seconds)
        if self._carrying is not None:
            await asyncio.gather(self._carrying, return_exceptions=True)

    # -- what is to be done --------------------------------------------------------------------------------------------

    def _looked(self) -> bool:
        with self._explained():
            self._look()
            return True
        return False

    def _look(self) -> None:
        if self.job is None:
            return
        if self._coming is None or self._shared.wall() >= self._coming.timestamp():
            self._decide(self.job)
        if self._carrying is None:
            self._go_on(self._unfinished(self.job))

    def _decide(self, job: JobFile) -> None:
        """Each slot whose time has come gets its verdict."""
        now = self._shared.wall()
        directory = RunDir(job.home)
        directory.make()
        with Record(directory.path, PATIENCE) as record:
            blocked = [entry.name for entry in record.unfinished() if entry.state is State.BLOCKED]
            found = decided(job.schedule, job.name, record, now, PROMPT)
            given_up = [entry for name in blocked if (entry := record.entry(name)) and entry.state is State.GIVEN_UP]
        for entry in given_up:
            self._tell_slot(entry.name, entry.state, entry.why, bad=True)
        self._coming = _coming(job, now)
        for verdict in found:
            self._tell_verdict(job, verdict)
        if job.schedule.overlap == "replace" and any(verdict.state is State.QUEUED for verdict in found):
            self._make_way()

    def _tell_verdict(self, job: JobFile, verdict: Verdict) -> None:
        self._tell_slot(verdict.slot.name, verdict.state, verdict.why, bad=verdict.state in _BAD)
        with self._explained():
            self._shared.on_verdict(job, verdict)

    def _make_way(self) -> None:
        if self._child is not None:
            self._replaced = True
            self._child.stop()

    def _unfinished(self, job: JobFile) -> frozenset[str]:
        record = Record.found_in(job.home, PATIENCE)
        if record is None:
            return frozenset()
        with record:
            return frozenset(entry.name for entry in record.unfinished())

    def _go_on(self, unfinished: frozenset[str]) -> None:
        """At once with what no child has tried yet, with what one has left after a while."""
        due = unfinished - self._left or (unfinished and self._now() >= self._again)
        self._left &= unfinished
        if due:
            self._left = unfinished
            self._carrying = asyncio.create_task(self._carry())

    # -- the child -----------------------------------------------------------------------------------------------------

    async def _carry(self) -> None:
        code: int | None = None
        try:
            async with self._shared.places:
                if self.job is not None and not self._leaving:
                    self._child = self._shared.launch(self.job, self._hear)
                    code = await self._child.wait()
        except Exception as error:
            code = Exit.INTERNAL
            self._once(f"its process could not be started: {error}")
        finally:
            self._child = self._carrying = None
            self._stir.set()
        if code is not None and not self._leaving:
            with self._explained():
                self._ended(code)

    def _ended(self, code: int) -> None:
        left = self._unfinished(self.job) if self.job is not None else frozenset()
        if self._replaced or not left:
            self._left, self._tries, self._replaced = frozenset(), 0, False
            if code < 0:
                self._tell("ended", _died(code), bad=True)
            return
        self._left, self._tries = left, self._tries + 1
        wait = min(_LATE, _SOON * 2 ** (self._tries - 1))
        self._again = self._now() + wait
        if self._tries == 1 or code < 0:
            names = ", ".join(sorted(left)[:3]) + (", …" if len(left) > 3 else "")
            said = f"; {_died(code)}" if code < 0 else ""
            self._tell("left", f"not finished: {names}{said}; goes on in {duration(wait)}", bad=code != Exit.OK)

    def _hear(self, said: Mapping[str, Any]) -> None:
        """A line of the child's about a slot, or about what keeps it from beginning; the same one only once."""
        slot, text = str(said.get("slot", "")), str(said.get("text", ""))
        if self._said.get(slot) == text:
            return
        self._said = {**dict(list(self._said.items())[-_REMEMBERED:]), slot: text}
        action, state = "slot" if slot else "trouble", str(said.get("state", ""))
        bad = bool(said.get("code") or said.get("bad"))
        name = self.job.name if self.job is not None else ""
        self._shared.tell(Message(action, text, name, slot, state, bad))

    # -- time, and words -----------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _seconds(self) -> float:
        """How long there is nothing to do."""
        until = [self._shared.pulse]
        if self._coming is not None:
            until.append(self._coming.timestamp() - self._shared.wall())
        if self._left and self._carrying is None:
            until.append(self._again - self._now())
        return max(0.0, min(until))

    async def _stirred(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stir.wait()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong here is told, and keeps nobody else from going on. It is tried again at the next pulse."""
        try:
            yield
        except BatchrunError as error:
            self._once(str(error))
        except Exception as error:
            self._once(f"batchrun itself failed: {type(error).__name__}: {error}")

    def _once(self, text: str) -> None:
        self._hear({"text": text, "code": 1})

    def _tell(self, action: str, text: str, *, bad: bool = False) -> None:
        self._shared.tell(Message(action, text, self.job.name if self.job else "", bad=bad))

    def _tell_slot(self, slot: str, state: State, why: str, *, bad: bool) -> None:
        text = f"{slot} {state.replace('_', ' ')}{': ' if why else ''}{why}"
        self._shared.tell(Message("slot", text, self.job.name if self.job else "", slot, state, bad))


def _coming(job: JobFile, now: float) -> datetime | None:
    """When the next slot begins; None for a schedule that never comes again."""
    at = datetime.fromtimestamp(now, UTC)
    back = timedelta(seconds=job.schedule.jitter) + timedelta(minutes=1)
    return next((slot.begins for slot in slots(job.schedule, job.name, at - back) if slot.begins > at), None)


def _died(code: int) -> str:
    return f"its process was ended by signal {-code}"
