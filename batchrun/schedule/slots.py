"""The slots of a schedule: the times at which a job is to begin, with what the clock does to them. Pure.

cronsim decides what an expression means, as Debian's cron does: a time that the clock jumps over is the moment after
the jump, and a fixed time that comes twice is meant once, the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from batchrun.spec.scheduling import ScheduleSpec

#: cronsim looks this far for a time that never comes, such as the 30th of February.
_MOST_MISSED = 10_000


@dataclass(frozen=True, slots=True)
class Slot:
    """One time at which the job is to begin, in the schedule's time zone; `delay` is its jitter."""

    at: datetime
    delay: timedelta = timedelta(0)

    @property
    def begins(self) -> datetime:
        """When it really begins, in UTC."""
        return (self.at.astimezone(UTC)) + self.delay

    @property
    def date(self) -> str:
        """The logical date, `2026-11-23`."""
        return self.at.date().isoformat()

    @property
    def name(self) -> str:
        """Names the slot in paths, the same in every time zone's winter and summer: `2026-11-23T0300Z`."""
        return self.at.astimezone(UTC).strftime("%Y-%m-%dT%H%MZ")


def slots(spec: ScheduleSpec, name: str, after: datetime) -> Iterator[Slot]:
    """The slots of the job called `name` after a moment (aware), without end."""
    zone = ZoneInfo(spec.timezone)
    for at in CronSim(spec.cron, after.astimezone(zone)):
        yield Slot(at, _delay(spec, name, at))


def missed(spec: ScheduleSpec, name: str, after: datetime, now: datetime) -> list[Slot]:
    """The slots after a moment that have begun by now; of very many the last."""
    begun = takewhile(lambda slot: slot.begins <= now, slots(spec, name, after))
    return list(islice(begun, _MOST_MISSED))


def due(spec: ScheduleSpec, name: str, last: datetime, now: datetime) -> list[Slot]:
    """The slots to run now, oldest first, where `last` is that of the last one that was run or passed over.

    The newest of them is in time, the others were missed: `catch_up` decides about those.
    """
    begun = missed(spec, name, last, now)
    if spec.catch_up == "all":
        return begun
    latest = begun[-1:]
    if spec.catch_up == "latest" or not latest:
        return latest
    following = next(slots(spec, name, latest[0].at))
    return latest if len(begun) == 1 and now < following.begins and _is_fresh(latest[0], now) else []


def _is_fresh(slot: Slot, now: datetime) -> bool:
    """Whether a slot was met and not missed: who looks once a minute is in time."""
    return now - slot.begins < timedelta(minutes=2)


def _delay(spec: ScheduleSpec, name: str, at: datetime) -> timedelta:
    """The same for the same slot of a job, spread evenly over the jitter."""
    if not spec.jitter:
        return timedelta(0)
    drawn = int.from_bytes(sha256(f"{name}\0{at.astimezone(UTC).isoformat()}".encode()).digest()[:8])
    return timedelta(seconds=spec.jitter * drawn / 2**64)


def oddity(spec: ScheduleSpec, slot: Slot, before: datetime) -> str:
    """What the clock does between the slot before and this one, for people; nothing on most days."""
    zone = ZoneInfo(spec.timezone)
    shift = (slot.at.utcoffset() or timedelta(0)) - (before.astimezone(zone).utcoffset() or timedelta(0))
    if not shift:
        return ""
    minutes = abs(int(shift.total_seconds() // 60))
    way = "forward" if shift > timedelta(0) else "back"
    return f"the clock goes {way} by {minutes} minutes before this"
