"""A service in trouble is not troubled more by a run that meets it; a limit is kept over deaths and new starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchrun.engine.pace import Pace
from tests.reliability.proofs.storm import MOST, amplification, most_in_a_minute, share_used, worst_window
from tests.reliability.scratch import scratch


@pytest.fixture
def where() -> Iterator[Path]:
    with scratch() as folder:
        yield Path(folder)


def meet_it_with_all_slots(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pace, "go_on", lambda self, spent, *, refused: None)


def test_an_hour_of_503_costs_the_service_little_more_than_the_job(where: Path) -> None:
    assert 1.0 < amplification(where / "storm", calls=8) <= MOST


def test_restarts_that_begin_with_all_slots_cost_it_too_much(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meet_it_with_all_slots(monkeypatch)
    assert amplification(where / "storm", calls=8) > MOST


def test_no_minute_holds_more_posts_than_the_limit_whatever_happens(where: Path) -> None:
    windows = [worst_window(where / str(seed), seed) for seed in range(12)]
    assert [window for window in windows if window[0] > window[1]] == []
    assert any(most == rpm for most, rpm in windows)


def test_restarts_that_forget_the_last_post_are_found(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meet_it_with_all_slots(monkeypatch)
    windows = (worst_window(where / str(seed), seed) for seed in range(40))
    assert any(most > rpm for most, rpm in windows)


@pytest.mark.parametrize("rpm", [6, 60])
def test_the_limit_is_used_where_there_is_work(where: Path, rpm: int) -> None:
    assert share_used(where / "job", rpm) >= 0.95


def test_a_window_is_sixty_seconds_without_its_end() -> None:
    assert most_in_a_minute([0.0, 30.0, 60.0, 60.0, 119.0]) == 3
    assert most_in_a_minute([0.0, 60.0, 120.0]) == 1
