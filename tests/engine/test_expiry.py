"""The service keeps results for a time: people are told in time, the oldest are fetched first, what is gone is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.engine.events import Event, Expiring, Polled
from batchrun.errors import Exit, Stopped
from batchrun.runs.directory import RunDir
from batchrun.runs.expiry import Expiry, expiry_lines, expiry_of
from batchrun.runs.run import Reopened, retry
from batchrun.spec.load import load_job
from batchrun.store.reader import Reader
from tests.rehearsal import Rehearsal
from tests.virtual_time import EPOCH

from .test_resume import stop_at_event

DAY = 86400.0
FREE = {"retention": DAY}


def interrupted(where: Path, rows: int = 4, **changes: object) -> Rehearsal:
    """A run that was stopped when its first row was submitted; nothing else was sent."""
    job = Rehearsal(where, rows=rows, limits={"posts": 1, "in_flight": 1}, **changes)
    with stop_at_event(1) as observe:
        assert isinstance(job.run(observe=observe, **FREE).stopped_by, Stopped)
    assert len(job.billed()) == 1
    return job


def told(job: Rehearsal) -> list[str]:
    with Reader(job.directory / "run.db") as reader:
        return list(expiry_lines(expiry_of(reader, job.clock.wall())))


def test_a_result_that_is_gone_after_the_retention_is_expired_not_lost_and_only_anew_is_it_paid_for_again(
    tmp_path: Path,
) -> None:
    job = interrupted(tmp_path, poll={"retention": "1d"})
    job.clock.now += 2 * DAY
    began = job.clock.now
    result = job.run(**FREE)
    assert result.summary.errors == {"expired": 1}
    assert result.summary.succeeded == 3
    assert job.clock.now - began < 300  # no ten minutes' grace
    (gone,) = [row for row in job.results() if row["error_class"] == "expired"]
    assert "billed, and its result is gone" in gone["error_message"]
    assert "2.0 days ago" in gone["error_message"]
    (attempt,) = [row for row in job.usage() if row["error_class"] == "expired"]
    assert (attempt["billed"], attempt["total_tokens"]) == (True, None)
    loaded, directory = load_job(job.write()), RunDir(job.directory)
    assert retry(loaded, directory, ["failed"], [], job.clock.wall(), anew=True) == Reopened(0, 1, "emulator")
    assert job.run(**FREE).exit_code is Exit.OK
    assert len(job.billed()) == 5


def test_a_404_within_the_retention_is_lost_not_expired(tmp_path: Path) -> None:
    job = interrupted(tmp_path, rows=1)
    job.clock.now += 2 * DAY
    assert job.run(**FREE).summary.errors == {"lost": 1}


def test_a_result_that_is_still_there_after_the_retention_is_taken(tmp_path: Path) -> None:
    job = interrupted(tmp_path, rows=1, poll={"retention": "1h"})
    job.clock.now += 7200
    assert job.run(**FREE).exit_code is Exit.OK


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (11, []),
        (13, ["past half", "first goes at 2026-11-23"]),
        (22, ["WARNING", "nine tenths", "before 2026-11-23", "gone"]),
        (30, ["WARNING", "more than 1 days"]),
    ],
)
def test_people_are_told_at_half_and_at_nine_tenths_of_the_retention(
    tmp_path: Path, hours: float, words: list[str]
) -> None:
    job, seen = interrupted(tmp_path, rows=1, poll={"retention": "1d"}), list[Event]()
    job.clock.now += hours * 3600
    said = told(job)
    assert all(word in said[0] for word in words)
    assert bool(said) is bool(words)
    job.run(observe=seen.append, **FREE)
    assert [event.warning for event in seen if isinstance(event, Expiring)] == said
    assert told(job) == []


def test_people_are_told_once_of_each_share_that_passes_while_a_run_goes_on(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5, poll={"retention": "1d", "deadline": "2d"})
    told = list[tuple[float, str]]()

    def note(event: Event) -> None:
        if isinstance(event, Expiring):
            told.append((job.clock.now / 3600, event.warning))

    assert job.run(observe=note, latency="23h").exit_code is Exit.OK
    assert [hours for hours, _ in told] == pytest.approx([12, 21.6], abs=0.1)
    assert [line.partition(" in flight")[0] for _, line in told] == ["5 interactions", "WARNING: 5 interactions"]


def test_fifty_five_days_are_what_a_run_counts_on_by_default(tmp_path: Path) -> None:
    job = interrupted(tmp_path, rows=1)
    job.clock.now += 27 * DAY
    assert told(job) == []
    job.clock.now += DAY
    assert "55 days" in told(job)[0]


def test_each_interaction_is_told_of_once() -> None:
    lines = list(expiry_lines(Expiry(DAY, half=3, most=2, over=1, first=EPOCH)))
    assert [line.split(" interaction")[0] for line in lines] == ["3", "WARNING: 2", "WARNING: 1"]


def test_a_resumed_run_polls_the_oldest_first(tmp_path: Path) -> None:
    job, polled = Rehearsal(tmp_path, rows=6, limits={"in_flight": 1}, poll={"deadline": "2d"}), list[str]()
    with stop_at_event(1) as observe:
        job.run(observe=observe, latency="20h")
    job.rows.insert(0, job.rows.pop())  # the last row of the input becomes its first
    job.spec["limits"] = {"in_flight": 4}
    job.clock.now += 3600
    with stop_at_event(4) as observe:
        job.run(observe=observe, latency="20h")
    job.run(observe=lambda event: polled.append(event.key) if isinstance(event, Polled) else None)
    with Reader(job.directory / "run.db") as reader:
        times = {attempt.key: attempt.submitted_at or 0.0 for attempt in reader.attempts()}
    order = list(dict.fromkeys(polled))
    assert order[:2] == ["r0", "r5"]
    assert order == sorted(order, key=lambda key: times[key])
