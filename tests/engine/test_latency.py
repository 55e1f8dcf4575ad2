"""When an interaction is polled, and what is learned from it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import exp
from pathlib import Path
from random import Random
from statistics import mean

import pytest

from batchrun.engine.latency import Latencies, Latency, Timing
from batchrun.engine.polling import NoAnswer, Poll, Running
from batchrun.interactions.evidence import Answer
from batchrun.interactions.models import Interaction
from batchrun.spec.model import PollSpec
from tests.rehearsal import Rehearsal

FOUND = Answer(b"", Interaction({"status": "completed"}))
RUNNING = Running("in_progress")
SPEC = PollSpec()


def waits(timing: Timing, polls: list[Poll]) -> list[float]:
    """The wait before each of these polls, and that after them."""
    now, found = 0.0, []
    for poll in polls:
        found.append(timing.wait(now))
        now += found[-1]
        timing.saw(poll, now)
    return [*found, timing.wait(now)]


def ages(latency: Latency, takes: float, number: int = 0, spec: PollSpec = SPEC) -> list[float]:
    """The ages at which an interaction that takes so long is polled; the last finds the answer."""
    timing, found = Timing(spec, latency, 0.0, number), [0.0]
    while found[-1] < takes:
        found.append(found[-1] + timing.wait(found[-1]))
        timing.saw(FOUND if found[-1] >= takes else RUNNING, found[-1])
    return found[1:]


def rows(
    latency: Latency, count: int, draw: Callable[[], float], spec: PollSpec = SPEC
) -> tuple[list[int], list[float]]:
    """The polls and the extra wait of each of so many rows, one after the other."""
    polls, late = [], []
    for number in range(count):
        takes = draw()
        seen = ages(latency, takes, number, spec)
        polls.append(len(seen))
        late.append(seen[-1] - takes)
    return polls, late


def test_while_nothing_is_known_waits_grow_to_the_ceiling() -> None:
    spec = PollSpec(first=2.0, growth=2.0, ceiling=5.0)
    assert waits(Timing(spec, Latency(spec), 0.0, 0), [RUNNING] * 3) == [2, 4, 5, 5]


def test_a_resumed_interaction_is_polled_at_once_and_then_as_its_age_says() -> None:
    spec = PollSpec(first=2.0, growth=2.0, ceiling=5.0)
    assert waits(Timing(spec, Latency(spec), 0.0, 0, resumed=True), [RUNNING] * 2) == [0, 2, 4]
    assert waits(Timing(spec, Latency(spec), -100.0, 0, resumed=True), [RUNNING] * 2) == [0, 5, 5]


def test_a_steady_latency_is_soon_found_at_the_first_poll_and_at_once() -> None:
    latency = Latency(SPEC)
    rows(latency, 200, lambda: 20.0)
    polls, late = rows(latency, 500, lambda: 20.0)
    assert mean(polls) < 1.8
    assert mean(late) < 1.5


def test_two_latencies_are_told_apart_within_the_ceiling() -> None:
    latency, random = Latency(SPEC), Random(1)
    draw = lambda: random.choice((5.0, 120.0))  # noqa: E731
    rows(latency, 300, draw)
    polls, late = rows(latency, 300, draw)
    assert mean(polls) < 3.5
    assert mean(late) < 4
    slow = ages(latency, 120.0)
    assert max(then - now for now, then in pairwise(slow)) <= SPEC.ceiling + 1e-9


def test_spread_latencies_take_far_fewer_polls_and_about_the_same_wait() -> None:
    random = Random(2)
    takes = [20 * exp(random.gauss(0, 1)) for _ in range(1000)]
    unlearned = [ages(Latency(SPEC), seconds) for seconds in takes]
    before = mean(seen[-1] - seconds for seen, seconds in zip(unlearned, takes, strict=True))
    polls, late = rows(Latency(SPEC), 1000, iter(takes).__next__)
    assert mean(polls[300:]) < 0.65 * mean(map(len, unlearned))
    assert mean(late) < 1.2 * before


@pytest.mark.parametrize(("before", "after"), [(20.0, 5.0), (5.0, 20.0)])
def test_a_change_of_the_latency_is_noticed(before: float, after: float) -> None:
    latency = Latency(SPEC)
    rows(latency, 500, lambda: before)
    rows(latency, 1500, lambda: after)
    polls, late = rows(latency, 200, lambda: after)
    assert mean(polls) < 2
    assert mean(late) < 1.5


def test_the_polls_own_gaps_are_not_taken_for_latencies() -> None:
    latency = Latency(SPEC)
    for _ in range(400):
        latency.came(10.0, 40.0)
        latency.came(19.0, 90.0)
        latency.came(0.0, 21.0)
    assert 19.0 <= latency.polls[0] <= 22.0


def test_while_most_still_run_the_few_that_were_fast_are_not_taken_for_all() -> None:
    latency = Latency(SPEC)
    timings = [Timing(SPEC, latency, 0.0, number) for number in range(200)]
    for now in (2.0, 5.0):
        for timing in timings[10:]:
            timing.saw(RUNNING, now)
    for timing in timings[:10]:
        timing.saw(FOUND, 2.0)
    assert len(latency.polls) == 1
    assert len(ages(latency, 40.0)) <= len(ages(Latency(SPEC), 40.0))


def test_an_outlier_is_polled_on_up_to_the_ceiling() -> None:
    latency = Latency(SPEC)
    rows(latency, 100, lambda: 5.0)
    late = ages(latency, 3000.0)
    gaps = [then - now for now, then in pairwise(late)]
    assert max(gaps) <= SPEC.ceiling + 1e-9
    assert gaps[-1] > 0.9 * SPEC.ceiling


def test_no_poll_comes_before_the_first_that_the_job_allows() -> None:
    spec = PollSpec(first=10.0)
    latency = Latency(spec)
    rows(latency, 100, lambda: 1.0, spec)
    assert {len(ages(latency, 1.0, number, spec)) for number in range(50)} == {1}
    assert min(ages(latency, 1.0, number, spec)[0] for number in range(50)) == 10.0


def test_slow_answers_are_left_alone_at_first_but_few_wait_longer_than_the_ceiling() -> None:
    latency, random = Latency(SPEC), Random(3)
    draw = lambda: 600 * exp(random.gauss(0, 0.4))  # noqa: E731
    rows(latency, 500, draw)
    polls, late = rows(latency, 500, draw)
    assert 200 < latency.polls[0] < 400
    assert mean(polls) < 16
    assert sum(wait > SPEC.ceiling for wait in late) < 0.06 * 500


def test_rows_sent_together_are_not_polled_together() -> None:
    latency = Latency(SPEC)
    firsts = [Timing(SPEC, latency, 0.0, number).wait(0.0) for number in range(100)]
    assert len(set(firsts)) == 100
    assert 2.0 == min(firsts) < max(firsts) <= 2.0 * 1.02
    assert firsts == [Timing(SPEC, latency, 0.0, number).wait(0.0) for number in range(100)]


def test_failed_polls_and_late_usage_teach_nothing() -> None:
    latency = Latency(SPEC)
    for number in range(50):
        waits(Timing(SPEC, latency, 0.0, number), [NoAnswer("reset")] * 3)
        waits(Timing(SPEC, latency, 0.0, number, resumed=True), [FOUND] * 3)
    assert not latency.polls
    waits(Timing(SPEC, latency, 0.0, 0), [FOUND] * 50)
    assert not latency.polls


def test_kinds_are_learned_apart_and_are_not_without_number() -> None:
    latencies = Latencies(SPEC)
    rows(latencies.of("slow"), 20, lambda: 60.0)
    assert latencies.of("slow").polls
    assert not latencies.of("fast").polls
    assert latencies.of("slow") is latencies.of("slow")
    assert len({id(latencies.of(f"model-{number}")) for number in range(1000)}) < 70


@pytest.mark.parametrize("first", [0.0, 2.0, 60.0])
@pytest.mark.parametrize("ceiling", [1.0, 30.0])
@pytest.mark.parametrize("takes", [0.0, 0.3, 45.0, 500_000.0])
def test_whatever_the_job_says_every_answer_is_found(first: float, ceiling: float, takes: float) -> None:
    spec = PollSpec(first=first, ceiling=ceiling, growth=1.5)
    latency = Latency(spec)
    for _ in range(30):
        latency.came(takes / 2, takes)
    timing, age = Timing(spec, latency, 0.0, 1), 0.0
    for _ in range(5000):
        wait = timing.wait(age)
        assert wait > 0
        age += wait
        timing.saw(RUNNING, age)
    assert age > 2000


def test_a_run_learns_when_to_poll(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=600, limits={"in_flight": 50, "posts": 50})
    result = job.run(latency="20s")
    assert result.summary.succeeded == 600
    assert result.summary.polls < 2 * 600
