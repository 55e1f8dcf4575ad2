"""A tick of a scheduled job: goes on with the slots that are not finished, then begins what is due by the policies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from batchrun.engine.events import Observer, ignore
from batchrun.errors import BatchrunError, BudgetError, Exit, LockedError, RunError, SpecError
from batchrun.runs.missed_slots import Owner, tell_missed
from batchrun.runs.run import Result
from batchrun.runs.scheduled import Wanted, claim_outputs, loaded_for, record_of, scheduled
from batchrun.schedule.deciding import decided
from batchrun.schedule.record import Entry, Record
from batchrun.schedule.verdicts import State, Verdict
from batchrun.spec.load import Job, load_job

#: With `catch_up: none` a slot is in time as long after it has begun: nobody ticks much more rarely than that.
GRACE = timedelta(hours=1)
#: From the least to the worst.
_SEVERITY = (
    Exit.OK, Exit.SOME_ROWS_FAILED, Exit.ROWS_HELD, Exit.TRY_LATER, Exit.BAD_INPUT, Exit.CREDENTIALS, Exit.DISK,
    Exit.INTERNAL, Exit.SIGTERM, Exit.SIGINT,
)  # fmt: skip
#: No other slot would fare better.
_FATAL = _SEVERITY[_SEVERITY.index(Exit.CREDENTIALS) :]

#: Carries one slot of the job it is given, for so many seconds at most.
Carry = Callable[[Job, float | None], Result]


@dataclass(frozen=True)
class Stood:
    """How a slot stood when a tick left it: what its run came to, or the error that it met.

    `notes` are about the files that it has taken.
    """

    slot: str
    state: State
    why: str = ""
    result: Result | None = None
    error: BatchrunError | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> Exit:
        if self.error is not None:
            return self.error.exit_code
        return Exit.OK if self.result is None else self.result.exit_code

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        run = None if self.result is None else self.result.summary.document()
        told = {"slot": self.slot, "state": self.state, "why": self.why, "notes": list(self.notes)}
        return {**told, "exit_code": self.exit_code, "run": run}


def worst(codes: Iterator[Exit]) -> Exit:
    """The exit code that tells most of what is wrong."""
    return max(codes, key=_SEVERITY.index, default=Exit.OK)


def tick_slots(
    wanted: Wanted,
    carry: Carry,
    wall: Callable[[], float],
    seconds: float | None = None,
    *,
    looks: bool = True,
    observe: Observer = ignore,
) -> Iterator[Stood]:
    """Each slot as it is done with. After `seconds` nothing more is sent. Raises SpecError, StoreError.

    What becomes of slots whose time has come is not decided here, and of those that were not run nobody is told, unless
    it `looks`: a daemon does that.
    """
    job = load_job(wanted.path, wanted.overrides)
    ends = None if seconds is None else wall() + seconds
    with record_of(job, wanted, wall()) as record:
        ticking = _Ticking(wanted, carry, wall, ends, record)
        for entry in record.open():
            yield (stood := ticking.go_on(entry))
            if stood.exit_code in _FATAL:
                return
        found = decided(scheduled(job), job.spec.name, record, wall(), GRACE) if looks else []
        yield from (_told(verdict) for verdict in found if verdict.state is not State.QUEUED)
        while not ticking.is_over and (begun := record.begin_next(wall())) is not None:
            yield (stood := ticking.go_on(begun))
            if stood.exit_code in _FATAL:
                break
        if looks and not wanted.emulated:
            owner = Owner(job.spec.name, job.base, wanted.home(job), job.spec.alerts)
            asyncio.run(tell_missed(owner, record, wall, observe))


def settled(
    record: Record | None, job: Job, now: Callable[[], float], run: Callable[[], Result], *, whole: bool = True
) -> Result:
    """Run a slot, and write down how it stands then; if the run was not of the `whole` input, as one that goes on.

    Raises what `run` raises.
    """
    if record is None or job.dates is None:
        return run()
    name = job.dates.slot
    try:
        claim_outputs(record, job)
        result = run()
    except SpecError as error:
        record.settle(name, State.BLOCKED, str(error), now(), over=False)
        raise
    state, why = standing(result) if whole else (State.BEGUN, "only the first rows were run")
    if state is State.DONE and job.taken == ():
        why = "nothing new"
    entry = record.entry(name)
    collected = entry is not None and entry.state is State.REPLACED and not result.summary.in_flight
    record.settle(name, state, why, now(), over=collected or state in (State.DONE, State.HELD))
    return result


def standing(result: Result) -> tuple[State, str]:
    """How a slot stands after its run, and why."""
    summary, stopped = result.summary, result.stopped_by
    if not summary.pending:
        return (State.HELD, f"{summary.held:,} of its rows wait for you") if summary.held else (State.DONE, "")
    if stopped is None:
        return State.BEGUN, ""
    if isinstance(stopped, BudgetError) and not summary.in_flight:
        return State.HELD, str(stopped)
    return (State.BLOCKED if stopped.exit_code is Exit.BAD_INPUT else State.BEGUN), str(stopped)


@dataclass(frozen=True)
class _Ticking:
    """What the parts of one tick share; `ends` is when it is to send nothing more."""

    wanted: Wanted
    carry: Carry
    wall: Callable[[], float]
    ends: float | None
    record: Record

    @property
    def is_over(self) -> bool:
        return self.ends is not None and self.wall() >= self.ends

    def go_on(self, entry: Entry) -> Stood:
        """Go on with a slot's run, or begin it. What cannot go on is no reason to leave the others."""
        left = None if self.ends is None else max(0.0, self.ends - self.wall())
        seconds = 0.0 if entry.state is State.REPLACED else left
        try:
            job = loaded_for(self.wanted, self.record, entry.name, self.wall())
            result = settled(self.record, job, self.wall, lambda: self.carry(job, seconds))
        except LockedError as error:
            return Stood(entry.name, entry.state, "another process runs it", error=error)
        except SpecError as error:
            self.record.settle(entry.name, State.BLOCKED, str(error), self.wall(), over=False)
            return self._stood(entry.name, None, error)
        except RunError as error:
            return self._stood(entry.name, None, error)
        return self._stood(entry.name, result, None, job.notes)

    def _stood(
        self, name: str, result: Result | None, error: BatchrunError | None, notes: tuple[str, ...] = ()
    ) -> Stood:
        entry = self.record.entry(name)
        assert entry is not None
        return Stood(name, entry.state, entry.why, result, error, notes)


def _told(verdict: Verdict) -> Stood:
    return Stood(verdict.slot.name, verdict.state, verdict.why)
