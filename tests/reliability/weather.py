"""The functions of simulated jobs. `CALLS` is what they were called with, in this process."""

from __future__ import annotations

CALLS: list[str] = []


def get_weather(city: str) -> dict[str, object]:
    """Tells the weather of a city."""
    CALLS.append(city)
    return {"city": city, "degrees": len(city)}


def get_time(city: str) -> str:
    """Tells the time in a city."""
    CALLS.append(f"time {city}")
    return f"noon in {city}"
