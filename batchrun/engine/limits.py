"""How fast requests may start: pure arithmetic on times that are passed in. `pace.py` does the waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Bucket:
    """Spaces starts evenly: after a cost of c, the next one starts c * 60 / per_minute seconds later.

    Nothing is saved up while idle, so no window of a minute holds more than the limit and one cost.
    """

    def __init__(self, per_minute: float | None) -> None:
        self.per_minute = per_minute
        self._seconds_each = _seconds_each(per_minute)
        self._free_at = float("-inf")

    def set_rate(self, per_minute: float | None, now: float) -> None:
        """Go on at another rate: what is left of the wait under way is as much shorter, or longer."""
        each = _seconds_each(per_minute)
        if self._free_at > now:
            self._free_at = now + (self._free_at - now) * (each / self._seconds_each)
        self.per_minute, self._seconds_each = per_minute, each

    def wait(self, now: float) -> float:
        """Seconds until the next start."""
        return max(0.0, self._free_at - now)

    def take(self, now: float, cost: float = 1.0) -> None:
        """Start now, at this cost."""
        self._free_at = max(self._free_at, now) + cost * self._seconds_each

    def correct(self, difference: float) -> None:
        """The real cost of an earlier start differed by this much (positive: it cost more)."""
        self._free_at += difference * self._seconds_each


def _seconds_each(per_minute: float | None) -> float:
    return 0.0 if per_minute is None else 60.0 / per_minute


#: How soon to look again whether a probe got through.
_PROBE_SECONDS = 0.1
#: So many requests may start at once before the pace is free again after a pause.
_FREE_CREDIT = 64


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to start one request, under `limits` and those of the lease `within` which it is.

    `estimate` is what it was thought to cost, `reserved` what was set aside.
    """

    limits: Limits
    estimate: float
    reserved: float
    within: Lease | None = None

    def accepted(self) -> None:
        """The request got through."""
        self.limits.accepted()
        if self.within is not None:
            self.within.accepted()

    def give_back(self) -> None:
        """The request cost nothing: it was not sent, or refused, or nobody knows what came of it."""
        self.limits.give_back(self)
        if self.within is not None:
            self.within.give_back()

    def settle(self, tokens: float) -> None:
        """The request really used this many tokens."""
        self.limits.settle(self, tokens)
        if self.within is not None:
            self.within.settle(tokens)


class Limits:
    """Requests and tokens a minute, and a gate that the server can close for everybody.

    Estimates of tokens are scaled by how far earlier ones were off, all together.
    """

    def __init__(self, rpm: float | None, tpm: float | None = None) -> None:
        self._requests = Bucket(rpm)
        self._tokens = Bucket(tpm)
        self._closed_until = float("-inf")
        self._credit: int | None = None
        self._estimated = self._real = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a request may start; 0 means now."""
        probing = _PROBE_SECONDS if self._credit == 0 else 0.0
        return max(self._requests.wait(now), self._tokens.wait(now), self._closed_until - now, probing)

    def take(self, now: float, estimate: float = 0.0) -> Lease:
        """Start a request now, at this estimate of its tokens."""
        scale = self._scale
        self._requests.take(now)
        self._tokens.take(now, estimate * scale)
        if self._credit is not None:
            self._credit -= 1
        return Lease(self, estimate, estimate * scale)

    def set_rpm(self, rpm: float | None, now: float) -> float | None:
        """Let so many requests a minute start from now on; returns what it was."""
        before = self._requests.per_minute
        self._requests.set_rate(rpm, now)
        return before

    def set_tpm(self, tpm: float | None, now: float) -> float | None:
        """The same for tokens."""
        before = self._tokens.per_minute
        self._tokens.set_rate(tpm, now)
        return before

    def remember(self, spent: Sequence[tuple[float, float, float | None]]) -> None:
        """What an earlier process has started: when, the tokens estimated, and those really used where known."""
        known = [(estimate, real) for _, estimate, real in spent if real is not None]
        self._estimated += sum(estimate for estimate, _ in known)
        self._real += sum(real for _, real in known)
        for at, estimate, real in spent:
            self._tokens.take(at, estimate * self._scale if real is None else real)

    @property
    def _scale(self) -> float:
        return self._real / self._estimated if self._estimated else 1.0

    def close(self, until: float) -> None:
        """The server asked for a pause: nothing starts before `until`, and then one request, to see."""
        self._closed_until = max(self._closed_until, until)
        self._credit = 1

    def accepted(self) -> None:
        """A request got through. After a pause each lets two more start, until the pace is free again."""
        if self._credit is not None:
            self._credit += 2
            if self._credit > _FREE_CREDIT:
                self._credit = None

    def give_back(self, lease: Lease) -> None:
        """The request behind `lease` cost nothing: it was not sent, or refused, or nobody knows what came of it."""
        self._tokens.correct(-lease.reserved)
        if self._credit is not None:
            self._credit = max(self._credit, 1)

    def settle(self, lease: Lease, tokens: float) -> None:
        """The request behind `lease` really used this many tokens."""
        self._tokens.correct(tokens - lease.reserved)
        self._estimated += lease.estimate
        self._real += tokens
