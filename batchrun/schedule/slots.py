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

_MOST_MISSED = 10_000
_HALF_HOUR, _HALVES_OF_A_YEAR = timedelta(minutes=30), 2 * 24 * 366
_NAME = "%Y-%m-%dT%H%MZ"
#: Whoever looks once a minute is in time.
PROMPT = timedelta(minutes=2)


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
        return self.at.astimezone(UTC).strftime(_NAME)


def slots(spec: ScheduleSpec, name: str, after: datetime) -> Iterator[Slot]:
    """The slots of the job called `name` after a moment (aware), without end."""
    zone = ZoneInfo(spec.timezone)
    for at in CronSim(spec.cron, after.astimezone(zone)):
        yield Slot(at, _delay(spec, name, at))


def missed(spec: ScheduleSpec, name: str, after: datetime, now: datetime) -> list[Slot]:
    """The slots after a moment that have begun by now, oldest first; of very many the last."""
    new = takewhile(lambda at: at.astimezone(UTC) > after, _back_from(spec, now))
    found = [Slot(at, _delay(spec, name, at)) for at in islice(new, _MOST_MISSED)]
    return list(takewhile(lambda slot: slot.begins <= now, reversed(found)))


def latest(spec: ScheduleSpec, name: str, now: datetime) -> Slot | None:
    """The last slot that has begun by now; None if none ever has."""
    for at in islice(_back_from(spec, now), _MOST_MISSED):
        begun = missed(spec, name, at - timedelta(minutes=1), now)
        if begun:
            return begun[-1]
    return None


def _back_from(spec: ScheduleSpec, now: datetime) -> Iterator[datetime]:
    """The times of the expression up to now, the newest first."""
    return CronSim(spec.cron, (now + timedelta(seconds=1)).astimezone(ZoneInfo(spec.timezone)), reverse=True)


def slot_named(spec: ScheduleSpec, name: str, text: str) -> Slot | None:
    """The slot that is called `text` in the schedule of a job, whether or not there is such a one; None for no name."""
    try:
        at = datetime.strptime(text, _NAME).replace(tzinfo=UTC)
    except ValueError:
        return None
    local = at.astimezone(ZoneInfo(spec.timezone))
    return Slot(local, _delay(spec, name, local))


def due(spec: ScheduleSpec, name: str, last: datetime, now: datetime, grace: timedelta = PROMPT) -> list[Slot]:
    """The slots to run now, oldest first, where `last` is that of the last one that was run or passed over.

    The newest of them is in time, the others were missed: `catch_up` decides about those. With `none` the newest counts
    as missed too once `grace` is over: that is for how rarely the caller looks.
    """
    begun = missed(spec, name, last, now)
    if spec.catch_up == "all":
        return begun
    newest = begun[-1:]
    in_time = spec.catch_up == "latest" or (newest and now - newest[0].begins < grace)
    return newest if in_time else []


def _delay(spec: ScheduleSpec, name: str, at: datetime) -> timedelta:
    """The same for the same slot of a job, spread evenly over the jitter."""
    if not spec.jitter:
        return timedelta(0)
    drawn = int.from_bytes(sha256(f"{name}\0{at.astimezone(UTC).isoformat()}".encode()).digest()[:8])
    return timedelta(seconds=spec.jitter * drawn / 2**64)


def next_change(spec: ScheduleSpec, after: datetime) -> datetime | None:
    """When the schedule's clock is put forward or back next, to half an hour, in UTC. None: not in a year."""
    zone, start = ZoneInfo(spec.timezone), after.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    offset = after.astimezone(zone).utcoffset()
    halves = (start + _HALF_HOUR * count for count in range(1, _HALVES_OF_A_YEAR))
    return next((at for at in halves if at > after and at.astimezone(zone).utcoffset() != offset), None)


def around(spec: ScheduleSpec, name: str, moment: datetime) -> tuple[Slot, Slot]:
    """The last slot before a moment and the first one from then on."""
    before = next(_back_from(spec, moment - timedelta(minutes=1)))
    return Slot(before, _delay(spec, name, before)), next(slots(spec, name, moment - timedelta(minutes=1)))


def oddity(spec: ScheduleSpec, slot: Slot, before: datetime) -> str:
    """What the clock does between the slot before and this one, for people; nothing on most days."""
    zone = ZoneInfo(spec.timezone)
    shift = (slot.at.utcoffset() or timedelta(0)) - (before.astimezone(zone).utcoffset() or timedelta(0))
    if not shift:
        return ""
    minutes = abs(int(shift.total_seconds() // 60))
    way = "forward" if shift > timedelta(0) else "back"
    return f"the clock goes {way} by {minutes} minutes before this"
