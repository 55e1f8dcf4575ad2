"""The service's day ends at midnight in California."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def next_midnight(now: float) -> float:
    """Unix seconds of the next midnight there."""
    try:
        zone = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a slim image without time zone data: an hour off in summer is good enough
        return now - (now - 8 * 3600) % 86400 + 86400
    here = datetime.fromtimestamp(now, UTC).astimezone(zone)
    midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.timestamp()
