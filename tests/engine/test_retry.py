"""A refusal stops a row, the run, or nobody; waits are random, and never shorter than the server asks."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from tenacity import AsyncRetrying, RetryCallState

from batchrun.engine.retry import FullJitter, Meaning, classify, may_repeat
from batchrun.interactions.evidence import Ambiguous, NotSent, Refused, Submitted
from batchrun.interactions.models import ApiError
from batchrun.spec.model import RetrySpec


def refused(status: int, code: str = "x", message: str = "", **detail: object) -> Refused:
    return Refused(status, ApiError(code, message, (dict(detail),) if detail else ()), None)


@pytest.mark.parametrize(
    ("refusal", "meaning"),
    [
        (refused(400, "invalid_argument"), Meaning.ROW),
        (refused(400, "invalid_argument", reason="API_KEY_INVALID"), Meaning.CREDENTIALS),
        (refused(401, "authentication"), Meaning.CREDENTIALS),
        (refused(402, "payment_required"), Meaning.QUOTA),
        (refused(400, "invalid_argument", reason="API_KEY_EXPIRED"), Meaning.CREDENTIALS),
        (refused(403, "permission_denied", reason="API_KEY_SERVICE_BLOCKED"), Meaning.CREDENTIALS),
        (refused(403, "permission_denied", reason="CONSUMER_SUSPENDED"), Meaning.CREDENTIALS),
        (refused(403, "permission_denied"), Meaning.DENIED),
        (refused(404, "model_not_found"), Meaning.ROW),
        (refused(409, "aborted"), Meaning.AGAIN),
        (refused(413, "too_large"), Meaning.ROW),
        (refused(429, "rate_limit_exceeded"), Meaning.AGAIN),
        (refused(429, "quota_exceeded"), Meaning.QUOTA),
        (refused(429, "resource_exhausted", violations=[{"quotaId": "RequestsPerDayPerProject"}]), Meaning.QUOTA),
        (refused(429, "resource_exhausted", violations=[{"quotaId": "RequestsPerMinutePerProject"}]), Meaning.AGAIN),
        (refused(429, "resource_exhausted", "Your prepayment credits are depleted."), Meaning.QUOTA),
        (refused(429, "resource_exhausted", "Your project has reached its monthly spend cap."), Meaning.QUOTA),
        (refused(429, "resource_exhausted", "You exceeded the spend-based rate limit."), Meaning.AGAIN),
        (refused(429, "resource_exhausted", "You exceeded your quota, check your billing details."), Meaning.AGAIN),
        (refused(503, "unavailable"), Meaning.AGAIN),
    ],
)
def test_a_refusal_means(refusal: Refused, meaning: Meaning) -> None:
    assert classify(refusal) is meaning


def test_a_post_is_repeated_only_on_proof_that_nothing_was_billed() -> None:
    assert may_repeat(NotSent("no route"))
    assert may_repeat(refused(429, "rate_limit_exceeded"))
    assert not may_repeat(refused(400, "invalid_argument"))
    assert not may_repeat(Ambiguous("reset after sending"))
    assert not may_repeat(Submitted("v1_a"))


def test_waits_are_random_below_a_ceiling_that_doubles_up_to_a_limit() -> None:
    wait = FullJitter(RetrySpec(first=1.0, ceiling=8.0), Random(1))
    for tries, ceiling in ((1, 1), (2, 2), (3, 4), (4, 8), (9, 8)):
        drawn = [wait.delay(tries, None) for _ in range(200)]
        assert 0 <= min(drawn) < ceiling * 0.1
        assert ceiling * 0.9 < max(drawn) <= ceiling


def test_the_servers_own_delay_is_a_floor_up_to_a_cap() -> None:
    wait = FullJitter(RetrySpec(first=1.0, server_ceiling=100.0), Random(1))
    assert wait.delay(1, 22.0) == 22.0
    assert wait.delay(1, 1e9) == 100.0


def test_the_same_seed_waits_the_same() -> None:
    def draw(seed: int) -> list[float]:
        wait = FullJitter(RetrySpec(), Random(seed))
        return [wait.delay(n, None) for n in range(1, 9)]

    assert draw(7) == draw(7) != draw(8)


def test_the_ceiling_doubles_from_round_to_round_though_each_is_another_calls_first_try() -> None:
    first_try, longest = RetryCallState(AsyncRetrying(), None, (), {}), []
    for rounds in (0, 3, 9):
        wait = FullJitter(RetrySpec(first=1.0, ceiling=60.0), Random(1), partial(int, rounds))
        longest.append(max(wait(first_try) for _ in range(500)))
    assert longest == [pytest.approx(most, rel=0.02) for most in (1.0, 8.0, 60.0)]


def test_an_outage_of_weeks_is_waited_out_too() -> None:
    wait = FullJitter(RetrySpec(first=1.0, ceiling=60.0), Random(1))
    assert 0 <= wait.delay(100_000, None) <= 60
