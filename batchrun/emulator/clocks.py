"""A clock that can be put forward: `POST /emulator/clock {"advance": 86400}`, which is no part of the service's API.

With it a test in any language meets the end of a retention, a quota's midnight or an old webhook without waiting.
"""

from __future__ import annotations

from collections.abc import Callable

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import classic, invalid
from batchrun.emulator.reading import read_body

_FARTHEST = 100 * 366 * 86_400


class MovableClock:
    """Unix seconds of another clock, and as many more as it was put forward. It never goes back."""

    def __init__(self, base: Callable[[], float]) -> None:
        self._base = base
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._base() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


def control_clock(clock: Callable[[], float], call: Call) -> Answer:
    """The time after it was put forward, or as it is. Raises `Refusal` where the clock cannot be moved."""
    if not isinstance(clock, MovableClock) or call.method not in ("GET", "POST"):
        raise classic(404, "Method not found.")
    if call.method == "POST":
        clock.advance(_seconds(read_body(call.body).get("advance")))
    return json_answer(200, {"now": clock()})


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _FARTHEST:
        raise invalid(f"'advance' is a number of seconds from 0 to {_FARTHEST}, a hundred years.")
    return float(value)
