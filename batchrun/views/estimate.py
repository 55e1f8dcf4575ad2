"""How long a run may still take, as a range: from how fast rows have ended lately and how long answers take. Pure.

Rows end evenly only after the first answers have come. Before that the rate of the whole run so far is too low, since
rows in flight have not ended yet, and that of its POSTs too high, since as many as fit were sent at once. The truth
lies between, and the two meet as the run goes on. Later the rates of equal windows, none shorter than an answer takes,
say how far apart they may be.

The last rows take what the slowest take, whatever the rate was: what is in flight is compared with the latencies of
the answers that came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, median, stdev

from batchrun.views.history import Mark, by

#: Fewer rows that have ended, or answers that came, teach nothing.
_FEWEST = 8
#: The rate is that of the last minutes; of longer where answers take long, or rows are few.
_SECONDS, _LATENCIES, _ROWS = 300.0, 8, 30
_MOST_WINDOWS = 8
#: Four times in five the mean of so many windows is off by no more than this many standard errors (Student's t).
_T = {3: 1.89, 4: 1.64, 5: 1.53, 6: 1.48, 7: 1.44, 8: 1.41}
_NORMAL = 1.28


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds that are left: at least `low`, and four times in five not more than `high`; None where nobody knows."""

    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """Rows that end in a second, from `low` to `high`."""

    low: float
    high: float


def left(waiting: int, ages: Sequence[float], latencies: Sequence[float], marks: Sequence[Mark]) -> Left | None:
    """What is left for rows that are not sent yet and for those in flight, by their `ages`; None if it cannot be told.

    `latencies` are those of the last answers. All times are in seconds.
    """
    if not waiting:
        return drained(ages, latencies)
    rate = rate_of(marks, ages, latencies)
    if rate is None or not rate.high:
        return None
    rows = waiting + len(ages)
    usual = median(latencies) if latencies else 0.0
    slowest = slowest_to_come(ages, latencies)
    low = max(rows / rate.high, waiting / rate.high + usual)
    return Left(low, max(rows / rate.low, waiting / rate.low + slowest) if rate.low else None)


def drained(ages: Sequence[float], latencies: Sequence[float]) -> Left | None:
    """What is left if all that is to be sent is in flight."""
    if not ages:
        return Left(0.0, 0.0)
    if len(latencies) < _FEWEST:
        return None
    newest = min(ages)
    longer = [each for each in latencies if each > newest]
    low = median(longer) - newest if longer else 0.0
    return Left(low, slowest_to_come(ages, latencies) - newest if longer else None)


def slowest_to_come(ages: Sequence[float], latencies: Sequence[float]) -> float:
    """What an answer may take: as far beyond the slowest so far as that is beyond the usual."""
    if not latencies:
        return max(ages, default=0.0)
    slowest = max((*latencies, *ages))
    return slowest + max(0.0, slowest - median(latencies))


def rate_of(marks: Sequence[Mark], ages: Sequence[float], latencies: Sequence[float]) -> Rate | None:
    """How fast rows end; None where too few have."""
    if not marks or marks[-1].ended - marks[0].ended < _FEWEST:
        return None
    usual = median(latencies) if latencies else 0.0
    start, now = marks[0].at, marks[-1].at
    since = max(start, min(now - max(_SECONDS, _LATENCIES * usual), _time_of(marks, marks[-1].ended - _ROWS)))
    span, ended = now - since, marks[-1].ended - by(marks, since, "ended")
    mean, off = ended / span, _off(marks, since, usual)
    high = mean + off
    if since == start:
        high = max(high, (ended + sum(age < span for age in ages)) / span)
    return Rate(max(0.0, mean - off), high)


def _off(marks: Sequence[Mark], since: float, usual: float) -> float:
    """How far the mean rate since then may be off: as windows differ, and at least as counts of chance events do."""
    now = marks[-1].at
    span = now - since
    ended = marks[-1].ended - by(marks, since, "ended")
    chance = _NORMAL * sqrt(ended) / span
    windows = min(_MOST_WINDOWS, int(span / usual) if usual else _MOST_WINDOWS)
    if windows not in _T:
        return chance
    totals = [by(marks, since + span * each / windows, "ended") for each in range(windows + 1)]
    rates = [(after - before) * windows / span for before, after in pairwise(totals)]
    return max(chance, _T[windows] * stdev(rates, fmean(rates)) / sqrt(windows))


def _time_of(marks: Sequence[Mark], ended: float) -> float:
    """The last mark by which no more than so many rows had ended, else the first."""
    return next((mark.at for mark in reversed(marks) if mark.ended <= ended), marks[0].at)
