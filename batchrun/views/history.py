"""What had happened by when, kept small: dense for the last moments, sparse for what is long ago. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

_MOST = 512
_AT = attrgetter("at")
#: A rate over less time says nothing (seconds).
_SHORTEST = 2.0


@dataclass(frozen=True, slots=True)
class Mark:
    """The totals since the beginning at a time (seconds of any clock): rows that had ended, POSTs, tokens."""

    at: float
    ended: float = 0
    posts: float = 0
    tokens: float = 0


class History:
    """The marks of a run. What is old is kept more coarsely, so that a run of days takes no more room than this."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def add(self, mark: Mark) -> None:
        """Marks are in the order of their times; one that a clock set back has made older replaces the last."""
        if self._marks and mark.at <= self._marks[-1].at:
            self._marks.pop()
        self._marks.append(mark)
        if len(self._marks) > _MOST:
            del self._marks[1 : _MOST // 2 : 2]

    @property
    def marks(self) -> Sequence[Mark]:
        return self._marks


def by(marks: Sequence[Mark], at: float, name: str) -> float:
    """The total by a time, read off the line between the marks around it."""
    place = bisect_right(marks, at, key=_AT)
    if place == 0:
        return float(getattr(marks[0], name))
    before, after = marks[place - 1], marks[min(place, len(marks) - 1)]
    share = (at - before.at) / (after.at - before.at) if after.at > before.at else 0.0
    first: float = getattr(before, name)
    last: float = getattr(after, name)
    return first + share * (last - first)


def rate(marks: Sequence[Mark], name: str, seconds: float = 60.0) -> float | None:
    """How much a second over the last `seconds`, or since the beginning; None where that is too short to say."""
    if not marks:
        return None
    now = marks[-1].at
    span = min(seconds, now - marks[0].at)
    return (by(marks, now, name) - by(marks, now - span, name)) / span if span >= _SHORTEST else None
