"""When a cron expression comes, minute by minute through the year: nothing of batchrun's, nor of its library's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@lru_cache(maxsize=64)
def times(cron: str, zone: str, after: datetime, until: datetime) -> tuple[datetime, ...]:
    """The times in UTC after one moment, up to another (both whole minutes in UTC).

    Expressions with `*` for the hour or the minute count real time. All others mean times of the wall clock: one that
    comes twice is meant the first time, one that never comes is the moment at which the clock has jumped over it.
    """
    return tuple(_times(cron, ZoneInfo(zone), after, until))


def _times(cron: str, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    fields = [_numbers(text, *bounds) for text, bounds in zip(cron.split(), _RANGES, strict=True)]
    real = "*" in cron.split()[0] or "*" in cron.split()[1]
    at, before = after, after.astimezone(zone).replace(tzinfo=None)
    while at < until:
        at += _MINUTE
        local = at.astimezone(zone)
        plain = local.replace(tzinfo=None)
        jumped = () if real else _between(before, plain)
        if any(_fits(fields, each) for each in jumped) or (_fits(fields, plain) and (real or not local.fold)):
            yield at
        before = plain


def _between(before: datetime, now: datetime) -> Iterator[datetime]:
    """The minutes that a clock jumped over."""
    each = before + _MINUTE
    while each < now:
        yield each
        each += _MINUTE


def _fits(fields: list[frozenset[int]], at: datetime) -> bool:
    minute, hour, day, month, weekday = fields
    return (
        at.minute in minute
        and at.hour in hour
        and at.day in day
        and at.month in month
        and (at.weekday() + 1) % 7 in weekday
    )


def _numbers(text: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low, high = (least, most) if span == "*" else (int(first), int(last or first))
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)
