"""A run as its events tell it: an observer that only counts, and a `View` of its counts whenever somebody wants one.

Events come in the thread of the event loop, views are asked for in another one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

from batchrun.engine.events import (
    Ended,
    Event,
    Expiring,
    Landed,
    Paused,
    Polled,
    Posted,
    RowEnded,
    Salvaged,
    Started,
    Steered,
    Stopping,
    Telling,
)
from batchrun.interactions.usage import plausible_tokens
from batchrun.plurals import duration
from batchrun.rows import Outcome
from batchrun.views.estimate import left
from batchrun.views.history import History, Mark, rate
from batchrun.views.troubles import Troubles
from batchrun.views.view import GOOD, Standing, State, Tokens, View, rows_may_follow, standing_of, together

_LATENCIES = 256
_ACCEPTED = ("submitted", "fetched")


class Meter:
    """Counts what happens in this process. `wall` gives Unix seconds; `rpm` and `max_cost` (dollars) are the limits in
    force, None without one. Who steers the run may change them.
    """

    def __init__(
        self, job: str, wall: Callable[[], float], rpm: float | None = None, max_cost: float | None = None
    ) -> None:
        self.job, self.rpm, self.max_cost = job, rpm, max_cost
        self.paused = self.leaving = self._telling = False
        self._wall = wall
        self._stages: Mapping[str, Standing] | None = None
        self._charged: float | None = None
        self._lock = Lock()
        self._begun: float | None = None
        self._before = Standing()
        self._rows, self._posts = 0, 0
        self._ended: Counter[Outcome] = Counter()
        self._tokens: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._earlier = 0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._history = History()
        self._troubles = Troubles()
        self._pause: tuple[float, str] = (0.0, "")
        self._warnings: dict[str, None] = {}
        self._stopping: str | None = None

    @property
    def begun(self) -> bool:
        return self._begun is not None

    @property
    def wants_more(self) -> bool:
        """Whether events alone do not tell all of it."""
        return self._stages is not None or self.max_cost is not None

    def tell(self, standings: Mapping[str, Standing], charged: float | None) -> None:
        """How the rows of stages stand (they follow from one another in the checkpoint), and the dollars charged."""
        with self._lock:
            self._stages = None if self._stages is None else standings
            self._charged = charged

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Polled):
            with self._lock:
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Posted(key, result):
                self._posts += result != "not_sent"
                if result in _ACCEPTED:
                    self._since[key] = self._wall()
            case Landed(key, usage=usage):
                self._land(key, usage)
            case RowEnded(key, outcome, kind, message):
                self._ended[outcome] += 1
                if outcome not in GOOD:
                    self._troubles.add(kind or outcome, key, message or "")
            case Salvaged(key):
                self._since[key] = self._wall()
            case Started(rows, in_flight, standing=standing):
                self._start(rows, in_flight, standing)
            case Paused(seconds, reason):
                self._pause = (self._wall() + seconds, reason)
            case Expiring(warning):
                self._warnings[warning] = None
            case Steered(_, paused, limits, leaving):
                self.paused, self.leaving = paused, leaving
                self._limit(limits)
            case Stopping(reason):
                self._stopping = reason
            case Telling() | Ended():
                self._telling = isinstance(event, Telling)

    def _limit(self, limits: Mapping[str, float | None]) -> None:
        self.rpm = limits.get("limits.rpm", self.rpm)
        self.max_cost = limits.get("limits.max_cost", self.max_cost)

    def _start(self, rows: int, in_flight: int, standing: Mapping[str, Mapping[str, int]]) -> None:
        self._begun = self._wall()
        self._rows, self._earlier = rows, in_flight
        stages = {name: standing_of(counts) for name, counts in standing.items()}
        self._before = replace(together(stages), in_flight=0, waiting=0)
        self._stages = None if "" in stages else stages or None
        self._history.add(Mark(self._begun))

    def _land(self, key: str, usage: Mapping[str, Any]) -> None:
        submitted = self._since.pop(key, None)
        if submitted is None:
            self._earlier = max(0, self._earlier - 1)  # what `recover` has brought back was not counted before
        else:
            self._latencies.append(max(0.0, self._wall() - submitted))
        for name in ("input", "output", "thought"):
            self._tokens[name] += plausible_tokens(usage, f"total_{name}_tokens") or 0

    def view(self) -> View:
        """The run as it is now."""
        with self._lock:
            return self._view(self._wall())

    def _view(self, now: float) -> View:
        tokens = Tokens(self._tokens["input"], self._tokens["output"], self._tokens["thought"])
        self._history.add(Mark(now, self._ended.total(), self._posts, tokens.total))
        marks, standing = self._history.marks, self._standing()
        begun = now if self._begun is None else self._begun
        ages = [*(now - at for at in self._since.values()), *[now - begun] * self._earlier]
        posts, taken = rate(marks, "posts"), rate(marks, "tokens")
        stages = self._stages or {}
        return View(
            self.job,
            self._state(standing),
            standing,
            now - begun,
            rows_may_follow(stages),
            stages,
            rate(marks, "ended"),
            None if posts is None else posts * 60,
            self.rpm,
            tokens,
            None if taken is None else taken * 60,
            self._charged,
            self.max_cost,
            None
            if self.paused or self.leaving or self._stopping
            else left(standing.waiting, ages, list(self._latencies), marks),
            self._troubles.last,
            tuple(self._notices(now)),
            tuple(self._warnings),
        )

    def _standing(self) -> Standing:
        flying = len(self._since) + self._earlier
        if self._stages is not None:
            return replace(together(self._stages), in_flight=flying)
        ended = Counter(self._before.ended)
        ended.update(self._ended)
        return Standing(dict(ended), flying, max(0, self._rows - self._ended.total() - flying))

    def _state(self, standing: Standing) -> State:
        if self._telling:
            return State.TELLING
        if self._stopping is not None:
            return State.STOPPING
        if self.begun and standing.rows == standing.done:
            return State.ENDED
        if self.leaving:
            return State.LEAVING
        return State.PAUSED if self.paused else State.RUNNING

    def _notices(self, now: float) -> list[str]:
        until, reason = self._pause
        asked = f"the service asked for a pause: {duration(until - now)} more, then one request to see: {reason}"
        return [*([self._stopping] if self._stopping else []), *([asked] if until - now >= 1 else [])]
