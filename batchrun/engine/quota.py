"""When a quota that is used up can be used again. Pure: the time is passed in.

Facts: quotas of a day are reset at midnight Pacific time; a spend-based rate limit looks back over ten minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from batchrun.interactions.models import ApiError


def advice(error: ApiError, now: float) -> str:
    """A sentence on when, or how, there is quota again."""
    if error.daily:
        return f"It is reset at midnight Pacific time: {told(next_midnight(now))}."
    return "Time alone may not bring it back: look at credits and spend caps in AI Studio."


def next_midnight(now: float) -> float:
    """Unix seconds of the next midnight in California."""
    here = datetime.fromtimestamp(now, UTC).astimezone(_pacific())
    return (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a machine without time zone data: in summer an hour late, which does no harm
        return timezone(timedelta(hours=-8))


def told(at: float, zone: tzinfo | None = None) -> str:
    """`2026-11-23 09:00 CET (08:00 UTC)`: in the time of this machine, or of `zone`, and in UTC."""
    there = datetime.fromtimestamp(at, UTC)
    here = there.astimezone(zone)
    if here.utcoffset() == timedelta(0):
        return f"{there:%Y-%m-%d %H:%M} UTC"
    day = "" if here.date() == there.date() else "%Y-%m-%d "
    return f"{here:%Y-%m-%d %H:%M %Z} ({there.strftime(day + '%H:%M')} UTC)"
