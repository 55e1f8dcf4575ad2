"""A key of another project sees none of a run's interactions: found out before anything is sent or given up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from batchrun.errors import Exit
from batchrun.store.reader import Reader
from tests.rehearsal import Rehearsal

from .test_resume import stop_at_event


def interrupted(where: Path, submitted: int, rows: int = 20) -> Rehearsal:
    job = Rehearsal(where, rows=rows, limits={"posts": 1, "in_flight": submitted})
    with stop_at_event(submitted) as observe:
        job.run(observe=observe, latency="1h")
    assert len(job.billed()) == submitted
    return job


def made_with_another_key(job: Rehearsal) -> None:
    """As if the run had been begun with a key that is not today's."""
    with sqlite3.connect(job.directory / "run.db") as db:
        assert db.execute("UPDATE meta SET value = 'another' WHERE name = 'key'").rowcount == 1
    db.close()


@pytest.mark.parametrize("submitted", [1, 5, 8])
def test_a_key_of_another_project_stops_the_run_at_once_with_nothing_sent_or_lost(
    tmp_path: Path, submitted: int
) -> None:
    job = interrupted(tmp_path, submitted)
    made_with_another_key(job)
    posts, began = len(job.ledger()), job.clock.now
    result = job.run(state=tmp_path / "another.db")
    assert result.exit_code is Exit.CREDENTIALS
    assert "another project's key?" in str(result.stopped_by)
    assert (len(job.ledger()), result.summary.failed, result.summary.pending) == (posts, 0, 20)
    assert job.clock.now - began < 5
    assert job.run().exit_code is Exit.OK  # the right project's
    assert len(job.billed()) == 20


def test_a_new_key_of_the_same_project_just_goes_on_and_is_remembered(tmp_path: Path) -> None:
    job = interrupted(tmp_path, 5)
    made_with_another_key(job)
    assert job.run().exit_code is Exit.OK
    with Reader(job.directory / "run.db") as reader:
        known = reader.meta("key") or ""
    assert len(known) == 16
    assert known != "another"


def test_one_interaction_that_is_known_is_enough_for_a_new_key(tmp_path: Path) -> None:
    job = interrupted(tmp_path, 3)
    made_with_another_key(job)
    with sqlite3.connect(tmp_path / "emulator.db") as db:
        db.execute("DELETE FROM interactions WHERE rowid > 1")
    db.close()
    result = job.run()
    assert result.summary.errors == {"lost": 2}
    assert result.summary.succeeded == 18


def test_interactions_that_have_expired_say_nothing_about_a_new_key(tmp_path: Path) -> None:
    job = interrupted(tmp_path, 5)
    job.spec["poll"] = {"retention": "1d"}
    made_with_another_key(job)
    job.clock.now += 2 * 86400
    result = job.run(retention=86400.0)
    assert result.summary.errors == {"expired": 5}
    assert result.summary.succeeded == 15


def test_a_service_that_does_not_answer_says_nothing_about_a_new_key(tmp_path: Path) -> None:
    job = interrupted(tmp_path, 5)
    made_with_another_key(job)
    assert job.run(faults="get/503:#1").exit_code is Exit.OK


def test_the_key_itself_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1)
    job.run()
    with Reader(job.directory / "run.db") as reader:
        assert reader.meta("key") not in (None, "emulator")


def test_the_same_key_is_not_doubted_where_the_service_has_forgotten_everything(tmp_path: Path) -> None:
    job = interrupted(tmp_path, 8)
    job.clock.now += 3 * 86400.0  # the project is a free one, and nobody has said so
    result = job.run(retention=86400.0)
    assert result.exit_code is Exit.SOME_ROWS_FAILED
    assert (result.summary.errors, result.summary.succeeded) == ({"lost": 8}, 12)
    assert len(job.billed()) == 20
