"""A service in trouble is not troubled more by a run that meets it; a limit is kept over deaths and new starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.engine.pace import Pace
from tests.reliability.proofs.storm import MOST, amplification, most_in_a_minute, share_used, worst_window


def meet_it_with_all_slots(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pace, "go_on", lambda self, *, refused: None)


def test_an_hour_of_503_costs_the_service_little_more_than_the_job(tmp_path: Path) -> None:
    assert 1.0 < amplification(tmp_path / "storm", calls=8) <= MOST


def test_restarts_that_begin_with_all_slots_cost_it_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meet_it_with_all_slots(monkeypatch)
    assert amplification(tmp_path / "storm", calls=8) > MOST


def test_no_minute_holds_more_posts_than_the_limit_whatever_happens(tmp_path: Path) -> None:
    windows = [worst_window(tmp_path / str(seed), seed) for seed in range(12)]
    assert [window for window in windows if window[0] > window[1]] == []
    assert any(most == rpm for most, rpm in windows)


def test_restarts_that_forget_the_last_post_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meet_it_with_all_slots(monkeypatch)
    windows = (worst_window(tmp_path / str(seed), seed) for seed in range(40))
    assert any(most > rpm for most, rpm in windows)


@pytest.mark.parametrize("rpm", [6, 60])
def test_the_limit_is_used_where_there_is_work(tmp_path: Path, rpm: int) -> None:
    assert share_used(tmp_path / "job", rpm) >= 0.95


def test_a_window_is_sixty_seconds_without_its_end() -> None:
    assert most_in_a_minute([0.0, 30.0, 60.0, 60.0, 119.0]) == 3
    assert most_in_a_minute([0.0, 60.0, 120.0]) == 1
