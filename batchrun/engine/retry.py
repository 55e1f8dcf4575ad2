"""What a refused or unsent POST means, and how long to wait. Pure, but for the seeded random numbers passed in."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from random import Random
from typing import Any

from tenacity import RetryCallState, retry_if_result
from tenacity.wait import wait_base

from batchrun.interactions.evidence import NotSent, PostResult, Refused
from batchrun.spec.model import RetrySpec

#: No number gets too large for a float, however long an outage lasts.
_MOST_DOUBLINGS = 64
#: Seconds between looks whether a spend-based rate limit has passed.
_SPEND_PAUSE = 150.0


class Meaning(Enum):
    """Who has to stop because of a refusal."""

    AGAIN = auto()  # nobody: the same call may succeed later
    ROW = auto()  # the row: the service does not take this request
    CREDENTIALS = auto()  # the run: the key is not accepted
    DENIED = auto()  # the key or its right to this model: only asking about the key tells which
    QUOTA = auto()  # the run: the day's quota or the account's money is used up


def classify(refusal: Refused) -> Meaning:
    """What the service's own words mean for the run. A bad key is a 400 with reason API_KEY_INVALID."""
    error = refusal.error
    if refusal.status == 401 or error.about_key:
        return Meaning.CREDENTIALS
    if refusal.status == 403:
        return Meaning.DENIED
    if refusal.status == 402 or (refusal.status == 429 and (error.daily or _is_spent(error.message))):
        return Meaning.QUOTA
    if refusal.status in (429, 503) or error.code == "aborted":
        return Meaning.AGAIN
    return Meaning.ROW


def _is_spent(message: str) -> bool:
    """Whether an account's money or a spend cap is used up. A spend-based rate limit is none: it passes in minutes."""
    return not _is_spend_rate(message) and ("credits are depleted" in message or "spend" in message.lower())


def _is_spend_rate(message: str) -> bool:
    return "spend-based rate" in message.lower()


def may_repeat(result: PostResult) -> bool:
    """True if the same POST may be sent again: it never left, or it was refused for a passing reason."""
    return isinstance(result, NotSent) or (isinstance(result, Refused) and classify(result) is Meaning.AGAIN)


class FullJitter(wait_base):
    """The longer of the server's own delay (capped) and a random wait below a doubling ceiling.

    `rounds` says how often in succession the service has refused whatever came: in an outage each round is another
    call's first try, and the ceiling has to double all the same.
    """

    def __init__(self, spec: RetrySpec, random: Random, rounds: Callable[[], int] = lambda: 0) -> None:
        self._spec = spec
        self._random = random
        self._rounds = rounds

    def __call__(self, state: RetryCallState) -> float:
        result = state.outcome.result() if state.outcome is not None else None
        asked = _asked(result) if isinstance(result, Refused) else None
        return self.delay(max(state.attempt_number, self._rounds() + 1), asked)

    def delay(self, tries: int, asked: float | None) -> float:
        """Seconds after the `tries`-th refusal (from 1); `asked` is what the server named."""
        ceiling = min(self._spec.ceiling, self._spec.first * 2.0 ** min(tries - 1, _MOST_DOUBLINGS))
        return max(self._random.uniform(0.0, ceiling), min(asked or 0.0, self._spec.server_ceiling))


def _asked(refusal: Refused) -> float | None:
    """The server's own delay. A spend-based rate limit looks back over ten minutes, so a short wait is a wasted one."""
    if refusal.retry_after is None and _is_spend_rate(refusal.error.message):
        return _SPEND_PAUSE
    return refusal.retry_after


def retry_options(
    wait: FullJitter, stop: Callable[[RetryCallState], bool], before_sleep: Callable[[RetryCallState], None]
) -> dict[str, Any]:
    """Arguments for tenacity: the call's last result is returned when `stop` says that the tries are used up."""
    return {
        "stop": stop,
        "wait": wait,
        "retry": retry_if_result(may_repeat),
        "before_sleep": before_sleep,
        "retry_error_callback": lambda state: state.outcome.result(),
    }
