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


class Meaning(Enum):
    """Who has to stop because of a refusal."""

    AGAIN = auto()  # nobody: the same call may succeed later
    ROW = auto()  # the row: the service does not take this request
    CREDENTIALS = auto()  # the run: the key is not accepted
    QUOTA = auto()  # the run: the day's quota or the account's money is used up


def classify(refusal: Refused) -> Meaning:
    """What the service's own words mean for the run. A bad key is a 400 with reason API_KEY_INVALID."""
    error = refusal.error
    if refusal.status in (401, 403) or error.reason in ("API_KEY_INVALID", "API_KEY_EXPIRED"):
        return Meaning.CREDENTIALS
    if refusal.status == 402 or (refusal.status == 429 and (error.daily or "credits are depleted" in error.message)):
        return Meaning.QUOTA
    if refusal.status in (429, 503) or error.code == "aborted":
        return Meaning.AGAIN
    return Meaning.ROW


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
        asked = result.retry_after if isinstance(result, Refused) else None
        return self.delay(max(state.attempt_number, self._rounds() + 1), asked)

    def delay(self, tries: int, asked: float | None) -> float:
        """Seconds after the `tries`-th refusal (from 1); `asked` is what the server named."""
        ceiling = min(self._spec.ceiling, self._spec.first * 2.0 ** min(tries - 1, _MOST_DOUBLINGS))
        return max(self._random.uniform(0.0, ceiling), min(asked or 0.0, self._spec.server_ceiling))


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
