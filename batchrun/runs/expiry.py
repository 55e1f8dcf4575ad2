"""How long the service still keeps what a run has in flight there. What it lets go of was paid for and is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from batchrun.engine.events import Expiring, Observer
from batchrun.engine.quota import told
from batchrun.plurals import counted
from batchrun.store.reader import Reader

#: Shares of the retention from which on people are told, the later with more urgency.
_HALF, _MOST = 0.5, 0.9
#: How long to sleep at most: the machine may sleep too, and its clock be set.
_LOOK_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Expiry:
    """Interactions in flight by how much of their retention (seconds) is over: each is counted once.

    `first` is when the first of those that are still there goes, in Unix seconds; None where none is old.
    """

    retention: float
    half: int
    most: int
    over: int
    first: float | None


def expiry_of(reader: Reader, now: float) -> Expiry | None:
    """How it stands with the results at the service; None for a run that does not know its retention yet."""
    kept = reader.meta("retention")
    if kept is None:
        return None
    retention = float(kept)
    ages = [now - at for at in reader.submitted_times()]
    there = [age for age in ages if _HALF * retention <= age < retention]
    return Expiry(
        retention,
        half=sum(age < _MOST * retention for age in there),
        most=sum(age >= _MOST * retention for age in there),
        over=sum(age >= retention for age in ages),
        first=now + retention - max(there) if there else None,
    )


async def watch_expiry(reader: Reader, wall: Callable[[], float], observe: Observer) -> None:
    """While a run goes on, tell once of each share of the retention that something in flight has come past."""
    known = set[str]()
    while (expiry := expiry_of(reader, wall())) is not None:
        passed = {name for name in ("half", "most", "over") if getattr(expiry, name)}
        if passed - known:
            for line in expiry_lines(expiry):
                observe(Expiring(line))
        known |= passed
        await asyncio.sleep(min(_next_share(reader, expiry.retention, wall()), _LOOK_SECONDS))


def _next_share(reader: Reader, retention: float, now: float) -> float:
    """Seconds until something that is in flight now comes past a share of its retention, a moment longer."""
    times = (at + share * retention - now for at in reader.submitted_times() for share in (_HALF, _MOST, 1.0))
    return min((time for time in times if time >= 0), default=_LOOK_SECONDS) + 1.0


def expiry_lines(expiry: Expiry | None) -> Iterator[str]:
    """What to tell people; nothing while all results are young."""
    if expiry is None:
        return
    kept = f"{expiry.retention / 86400:g} days (poll.retention)"
    if expiry.half and expiry.first is not None:
        begun = f"{counted(expiry.half, 'interaction')} in flight past half of the {kept} that results are kept"
        yield begun if expiry.most else f"{begun}: the first goes at {told(expiry.first)}"
    if expiry.most and expiry.first is not None:
        yield (
            f"WARNING: {counted(expiry.most, 'interaction')} in flight past nine tenths of the {kept} that results are "
            f"kept: fetch them with `batchrun run` before {told(expiry.first)}, or they are paid for and gone"
        )
    if expiry.over:
        yield f"WARNING: {counted(expiry.over, 'interaction')} in flight for more than {kept}: probably gone"
