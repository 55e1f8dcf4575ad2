"""What is left of a run, told while it goes on, against how long it then really took."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest

from batchrun.views.estimate import Left, drained, left
from batchrun.views.history import History, Mark, rate

MINUTE = 60.0


@dataclass(frozen=True)
class Told:
    """What was told at a time, and what was really left then."""

    at: float
    left: Left | None
    truth: float

    @property
    def wrong(self) -> bool:
        return self.left is not None and not (
            self.left.low * 0.9 <= self.truth <= (1.1 * self.left.high + 1 if self.left.high is not None else 1e9)
        )


def told(
    rows: int, slots: int, seconds: Callable[[Random], float], *, rpm: float | None = None, step: float = 5.0
) -> list[Told]:
    """A run with so many rows in flight at most whose answers take some seconds; what is told of it at each step."""
    random = Random(7)
    flights: list[tuple[float, float]] = []  # (lands at, sent at)
    free_at, sent, now = 0.0, 0, 0.0
    landings: list[tuple[float, float]] = []
    while len(landings) < rows:
        if sent < rows and len(flights) < slots:
            now = max(now, free_at)
            if flights and flights[0][0] <= now:
                landings.append(heapq.heappop(flights))
                continue
            heapq.heappush(flights, (now + seconds(random), now))
            free_at = now + (MINUTE / rpm if rpm else 0.01)
            sent += 1
        else:
            landings.append(heapq.heappop(flights))
            now = max(now, landings[-1][0])
    end, history, found, at = landings[-1][0], History(), [], 0.0
    while at < end:
        done = [each for each in landings if each[0] <= at]
        history.add(Mark(at, ended=len(done)))
        ages = [at - begun for lands, begun in landings if begun <= at < lands]
        latencies = [lands - begun for lands, begun in done[-256:]]
        waiting = rows - len(done) - len(ages)
        found.append(Told(at, left(waiting, ages, latencies, history.marks), end - at))
        at += step
    return found


def evenly(low: float, high: float) -> Callable[[Random], float]:
    return lambda random: random.uniform(low, high)


def slowly(median: float, sigma: float) -> Callable[[Random], float]:
    return lambda random: median * random.lognormvariate(0, sigma)


RUNS = {
    "quick answers, bound by what may be in flight": (told, (4000, 50, evenly(1, 3)), {}),
    "bound by POSTs a minute": (told, (1500, 5000, evenly(5, 15)), {"rpm": 120.0}),
    "20 minutes an answer, in waves": (told, (1000, 100, evenly(1100, 1300)), {"step": 60.0}),
    "20 minutes an answer, by POSTs a minute": (told, (3000, 5000, evenly(1100, 1300)), {"rpm": 30.0, "step": 60.0}),
    "a long tail": (told, (1000, 40, slowly(10, 1.0)), {}),
    "a very long tail, all sent at once": (told, (500, 500, slowly(60, 1.2)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_what_is_told_is_seldom_wrong_and_never_of_another_size(name: str) -> None:
    run, arguments, options = RUNS[name]
    found = run(*arguments, **options)
    said = [each for each in found if each.left is not None]
    assert len(said) > len(found) / 4, "nothing is told for most of the run"
    assert sum(each.wrong for each in said) <= 0.25 * len(said)
    for each in said:
        assert each.left is not None
        assert each.left.low <= 2 * each.truth + 30, each


@pytest.mark.parametrize("name", ["bound by POSTs a minute", "quick answers, bound by what may be in flight"])
def test_an_even_run_is_told_closely_once_it_is_under_way(name: str) -> None:
    run, arguments, options = RUNS[name]
    found = run(*arguments, **options)
    for each in found[len(found) // 4 : -len(found) // 4]:
        assert each.left is not None
        assert each.left.high is not None
        assert each.left.high <= 1.5 * each.left.low


def test_rows_that_wait_twenty_minutes_are_no_reason_to_tell_hours_or_seconds() -> None:
    """While the first answers come in, the rate of rows that end is far from what it will be."""
    run, arguments, options = RUNS["20 minutes an answer, by POSTs a minute"]
    first = next(each for each in run(*arguments, **options) if each.left is not None)
    assert first.left is not None
    assert first.left.low <= first.truth
    assert first.left.high is None or first.left.high >= first.truth


def test_nothing_is_told_before_enough_rows_have_ended() -> None:
    assert left(100, [1.0] * 10, [], [Mark(0), Mark(1000)]) is None
    assert left(100, [1.0] * 10, [1.0] * 7, [Mark(0), Mark(1000, ended=7)]) is None


def test_a_row_slower_than_any_so_far_has_no_upper_bound() -> None:
    assert drained([100.0], [1.0] * 20) == Left(0.0, None)
    assert drained([5.0], [10.0] * 20) == Left(5.0, 5.0)


def test_when_nothing_is_left_that_is_told() -> None:
    assert left(0, [], [], []) == Left(0.0, 0.0)


def test_a_history_of_days_keeps_its_beginning_and_its_last_minutes_in_little_room() -> None:
    history = History()
    for second in range(200_000):
        history.add(Mark(second, ended=second * 2))
    marks = history.marks
    assert len(marks) <= 512
    assert marks[0].at == 0
    assert rate(marks, "ended") == pytest.approx(2.0)
    assert max(b.at - a.at for a, b in pairwise(marks[-200:])) == 1


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    history = History()
    for at in (100.0, 101.0, 50.0, 102.0):
        history.add(Mark(at, ended=at))
    assert rate(history.marks, "ended", 10) is not None
