"""What was given up has an id: it is looked for again before anybody pays for it again. Deadlines outlive processes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from batchrun.errors import Exit
from batchrun.runs.directory import RunDir
from batchrun.runs.run import Reopened, retry
from batchrun.spec.load import load_job
from tests.rehearsal import Rehearsal

from .test_resume import stop_at_event

DAY = 86400.0


def retried(job: Rehearsal, *outcomes: str, anew: bool = False) -> Reopened:
    wanted = list(outcomes) or ["failed"]
    return retry(load_job(job.write()), RunDir(job.directory), wanted, [], job.clock.wall(), anew=anew)


@pytest.mark.parametrize("fault", ["404_after_create=1h", "403_after_create=1h", "404_after_create=13m"])
def test_a_lost_row_is_polled_again_for_free_and_may_come_after_all(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=5)
    assert job.run(faults=f"{fault}:#2").summary.errors == {"lost": 1}
    job.clock.now += 7200
    assert retried(job) == Reopened(1, 0, "emulator")
    result = job.run()
    assert (result.exit_code, result.summary.posts_this_run, len(job.billed())) == (Exit.OK, 0, 5)


def test_a_row_that_stays_lost_is_sent_anew_only_by_a_second_wish(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    job.run(faults="404_after_create=inf:#2")
    for _ in range(2):
        assert retried(job) == Reopened(1, 0, "emulator")
        again = job.run()
        assert (again.summary.posts_this_run, again.summary.errors) == (0, {"lost": 1})
    assert retried(job, anew=True) == Reopened(0, 1, "emulator")
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 4
    assert sum(row["superseded"] for row in job.usage()) == 1


def test_a_timed_out_row_whose_answer_came_after_all_is_not_paid_for_again(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, poll={"deadline": "5m"})
    result = job.run(latency="1h", faults="499_on_cancel")
    assert result.summary.errors == {"timed_out": 3}
    assert {row["state"] for row in job.usage()} == {"fetched"}  # the service shows that it is cancelled
    assert retried(job) == Reopened(0, 3, "emulator")


def test_a_zombie_is_cancelled_at_its_deadline_though_every_process_forgot_it_for_three_days(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1, poll={"deadline": "2d"})
    with stop_at_event(1) as observe:
        job.run(faults="stuck", observe=observe)
    job.clock.now += 3 * DAY
    began = job.clock.now
    result = job.run()
    assert result.summary.errors == {"timed_out": 1}
    assert result.summary.posts_this_run == 0
    assert job.clock.now - began < 300
    with sqlite3.connect(tmp_path / "emulator.db") as db:
        (cancelled_at,) = db.execute("SELECT cancelled_at FROM interactions").fetchone()
    db.close()
    assert cancelled_at is not None


def test_a_zombie_that_answers_at_the_last_look_is_no_zombie(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1, poll={"deadline": "1m"})
    with stop_at_event(1) as observe:
        job.run(latency="1h", observe=observe)
    job.clock.now += DAY
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 1


def test_a_held_interaction_of_another_label_is_looked_at_again_first(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.run(faults="wrong_label:#1")
    assert retried(job, "ambiguous") == Reopened(1, 0, "emulator")
    again = job.run()
    assert (again.summary.ambiguous, again.summary.posts_this_run) == (1, 0)
    assert retried(job, "ambiguous", anew=True) == Reopened(0, 1, "emulator")
    assert job.run().exit_code is Exit.OK


def test_a_turn_that_was_lost_is_polled_again_and_the_turns_before_it_stay(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.spec["request"] = {"model": "gemini-3.5-flash", "turns": [{"input": "{{ question }}"}, {"input": "And why?"}]}
    assert job.run(faults="404_after_create=1h:#3").summary.errors == {"lost": 1}
    job.clock.now += 7200
    assert retried(job) == Reopened(1, 0, "emulator")
    assert job.run().exit_code is Exit.OK
    assert len(job.billed()) == 4


@pytest.mark.parametrize("when", ["at once", "after a restart"])
def test_usage_that_follows_its_answer_is_waited_for(tmp_path: Path, when: str) -> None:
    job = Rehearsal(tmp_path, rows=2)
    if when == "after a restart":
        with stop_at_event(1) as observe:
            job.run(faults="late_usage=30s", observe=observe)
    result = job.run(faults="late_usage=30s")
    assert result.exit_code is Exit.OK
    assert result.summary.usage["attempts_without_usage"] == 0
    assert result.summary.usage["total_tokens"] == sum(line["usage"]["total_tokens"] for line in job.billed())


def test_usage_that_is_later_than_a_minute_is_unknown_and_never_zero(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    result = job.run(faults="late_usage=10m:#2", latency="5s")
    assert result.summary.usage["attempts_without_usage"] == 1
    assert result.summary.elapsed_s < 180
    (unknown,) = [row for row in job.usage() if row["total_tokens"] is None]
    assert unknown["total_input_tokens"] is None
    assert unknown["usage_json"] is None
