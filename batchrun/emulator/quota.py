"""Rate limits as the service documents them: any that is exceeded is a 429. They hold for each model by itself.

Requests and input tokens a minute, requests a day (which ends at midnight Pacific), images a minute for the models that
make them, and the background interactions of the whole project that are in flight. A minute is any 60 seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from batchrun.emulator.daybook import Day, DayBook
from batchrun.emulator.days import next_midnight
from batchrun.emulator.envelopes import Quota, Refusal, classic, quota_failure, quota_help, retry_info

_WINDOW = 60.0
#: A request may come this much too early: the way to the server takes longer for some than for others.
_SLACK = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """What one model allows: requests, input tokens and images a minute, requests a day. None means no limit."""

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    ipm: int | None = None

    @property
    def none(self) -> bool:
        return self.rpm is None and self.tpm is None and self.rpd is None and self.ipm is None


@dataclass(frozen=True, slots=True)
class Use:
    """What one accepted request takes. `until` is when it ends if it runs in the background, else None."""

    id: str
    tokens: int
    images: int
    until: float | None


class Quotas:
    """Counts accepted requests; memory is bounded by the limits themselves. Days go on where `book` left them."""

    def __init__(
        self,
        limits_of: Callable[[str], Limits],
        in_flight: int | None,
        limited: bool = True,
        book: DayBook | None = None,
    ) -> None:
        #: Whether anything is limited; if not, neither `check` nor `take` need be asked.
        self.limited = limited
        self._limits_of = limits_of
        self._book = book
        self._models: dict[str, _Model] = {}
        self._most_running = in_flight
        self._running: dict[str, float] = {}

    def check(self, now: float, model: str, *, background: bool) -> None:
        """Raise the 429 of a request that comes too early whatever it holds. Counts nothing."""
        self._model(model).check(now)
        if background and self._most_running is not None and len(self._running) >= self._most_running:
            self._running = {name: until for name, until in self._running.items() if until > now}
            if len(self._running) >= self._most_running:
                raise too_many(Quota.IN_FLIGHT, self._most_running, model, None)

    def take(self, now: float, model: str, use: Use) -> None:
        """Count an accepted request, or raise the 429 for its tokens or images."""
        self._model(model).take(now, use)
        if use.until is not None and self._most_running is not None:
            self._running[use.id] = use.until

    def release(self, interaction_id: str) -> None:
        """A background interaction that has ended before its time, or at a time that nobody knew."""
        self._running.pop(interaction_id, None)

    def _model(self, name: str) -> _Model:
        known = self._models.get(name)
        if known is None:
            known = self._models[name] = _Model(name, self._limits_of(name), self._book)
        return known


class _Model:
    """The use of one model."""

    def __init__(self, name: str, limits: Limits, book: DayBook | None) -> None:
        self._name = name
        self._free = limits.none
        self._requests = _Minute(Quota.REQUESTS, limits.rpm)
        self._tokens = _Minute(Quota.TOKENS, limits.tpm)
        self._images = _Minute(Quota.IMAGES, limits.ipm)
        self._day = _Day(name, limits.rpd, book)

    def check(self, now: float) -> None:
        if not self._free:
            self._requests.check(now, 1, self._name)
            self._day.check(now)

    def take(self, now: float, use: Use) -> None:
        if self._free:
            return
        self._tokens.check(now, use.tokens, self._name)
        self._images.check(now, use.images, self._name)
        self._tokens.take(now, use.tokens)
        self._images.take(now, use.images)
        self._requests.take(now, 1)
        self._day.take()


class _Minute:
    """Never more than the limit in any 60 seconds."""

    def __init__(self, quota: Quota, limit: int | None) -> None:
        self._quota = quota
        self._limit = limit
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def check(self, now: float, amount: int, model: str) -> None:
        if self._limit is None or not amount:
            return
        while self._taken and self._taken[0][0] <= now - _WINDOW + _SLACK:
            self._sum -= self._taken.popleft()[1]
        if self._sum + amount > self._limit:
            raise too_many(self._quota, self._limit, model, self._wait(now, self._sum + amount - self._limit))

    def take(self, now: float, amount: int) -> None:
        if self._limit is not None and amount:
            self._taken.append((now, amount))
            self._sum += amount

    def _wait(self, now: float, excess: int) -> float:
        """Seconds until so much has left the window; a whole window where that can never be."""
        for at, amount in self._taken:
            excess -= amount
            if excess <= 0:
                return max(at + _WINDOW - now, 0.0)
        return _WINDOW


class _Day:
    """Requests of a day that ends at midnight Pacific."""

    def __init__(self, model: str, limit: int | None, book: DayBook | None) -> None:
        self._model = model
        self._limit = limit
        self._book = book
        self._day = Day(0.0, 0) if book is None or limit is None else book.read(model)

    def check(self, now: float) -> None:
        if self._limit is None:
            return
        if now >= self._day.ends:
            self._day = Day(next_midnight(now), 0)
        if self._day.requests >= self._limit:
            raise too_many(Quota.DAILY_REQUESTS, self._limit, self._model, None)

    def take(self) -> None:
        if self._limit is not None:
            self._day = Day(self._day.ends, self._day.requests + 1)
            if self._book is not None:
                self._book.write(self._model, self._day)


def too_many(quota: Quota, limit: int, model: str, wait: float | None) -> Refusal:
    """A 429 with its quota; `wait` seconds go into a RetryInfo, None leaves it out."""
    details = [quota_failure(quota, limit, model), quota_help()]
    if wait is not None:
        details.append(retry_info(wait))
    message = f"You exceeded your current quota: {limit} {quota.value}, model {model}. (emulated)"
    return classic(429, message, details)
