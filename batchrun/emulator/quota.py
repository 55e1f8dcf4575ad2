"""Requests per minute, enforced strictly: never more than the limit in any 60 seconds."""

from __future__ import annotations

from collections import deque

from batchrun.emulator.envelopes import Refusal, classic, quota_failure, quota_help, retry_info

_WINDOW = 60.0
#: A request may come this much too early: the way to the server takes longer for some than for others.
_SLACK = 0.25


class RequestQuota:
    """Counts accepted requests. Memory is bounded by the limit itself."""

    def __init__(self, rpm: int | None) -> None:
        self._rpm = rpm
        self._accepted: deque[float] = deque()

    def take(self, now: float, model: str) -> None:
        """Count one request at `now` (Unix seconds), or raise the 429 that refuses it."""
        if self._rpm is None:
            return
        while self._accepted and self._accepted[0] <= now - _WINDOW + _SLACK:
            self._accepted.popleft()
        if len(self._accepted) >= self._rpm:
            raise self._refusal(now, model)
        self._accepted.append(now)

    def _refusal(self, now: float, model: str) -> Refusal:
        oldest = self._accepted[0] if self._accepted else now
        wait = max(oldest + _WINDOW - now, 0.0)
        return too_many_requests("PerMinute", self._rpm or 0, model, wait)


def too_many_requests(window: str, limit: int, model: str, wait: float | None) -> Refusal:
    """A 429 with its quota; `wait` seconds go into a RetryInfo, None leaves it out."""
    details = [quota_failure(window, limit, model), quota_help()]
    if wait is not None:
        details.append(retry_info(wait))
    message = f"You exceeded your current quota: {limit} requests {window}, model {model}. (emulated)"
    return classic(429, message, details)
