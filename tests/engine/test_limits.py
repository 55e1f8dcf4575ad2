"""Pacing is arithmetic on times that are passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.engine.limits import Bucket, Limits


def starts(limits: Limits, count: int, tokens: float = 0.0) -> list[float]:
    """When `count` requests start if each starts as soon as it may."""
    now, times = 0.0, []
    for _ in range(count):
        now += limits.wait(now)
        limits.take(now, tokens)
        times.append(now)
    return times


def test_a_thousand_requests_at_sixty_a_minute_take_999_seconds() -> None:
    assert starts(Limits(rpm=60), 1000)[-1] == pytest.approx(999)


def test_without_limits_everything_starts_at_once() -> None:
    assert starts(Limits(rpm=None), 1000)[-1] == 0


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    limits = Limits(rpm=60)
    limits.take(0.0)
    assert limits.wait(3600) == 0
    limits.take(3600)
    assert limits.wait(3600) == 1


@given(
    st.floats(1, 5000),
    st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_window_of_a_minute_holds_more_than_the_limit_and_one(rpm: float, pauses: list[float]) -> None:
    limits, now, times = Limits(rpm), 0.0, []
    for pause in pauses:
        now += pause
        now += limits.wait(now)
        limits.take(now)
        times.append(now)
    assert all(sum(1 for t in times if start <= t < start + 60) <= rpm + 1 for start in times)


def test_tokens_are_paced_by_their_estimate_and_corrected_by_the_real_usage() -> None:
    limits = Limits(rpm=None, tpm=6000)
    lease = limits.take(0.0, estimate=100)
    assert limits.wait(0.0) == pytest.approx(1.0)
    limits.settle(lease, 700)
    assert limits.wait(0.0) == pytest.approx(7.0)


def test_estimates_learn_from_the_real_usage() -> None:
    limits = Limits(rpm=None, tpm=6000)
    limits.settle(limits.take(0.0, estimate=100), 25)
    limits.take(100.0, estimate=400)
    assert limits.wait(100.0) == pytest.approx(1.0)


def test_a_closed_gate_holds_everybody_and_a_shorter_pause_does_not_open_it() -> None:
    limits = Limits(rpm=None)
    limits.close(until=30)
    limits.close(until=10)
    assert limits.wait(12) == 18
    assert limits.wait(30) == 0


def test_the_slower_of_two_limits_decides() -> None:
    assert starts(Limits(rpm=60, tpm=600), 3, tokens=100) == pytest.approx([0, 10, 20])


def test_a_bucket_without_a_limit_never_waits_whatever_it_costs() -> None:
    bucket = Bucket(None)
    bucket.take(0.0, 1e12)
    assert bucket.wait(0.0) == 0
