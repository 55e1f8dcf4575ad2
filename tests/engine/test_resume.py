"""A run that dies anywhere goes on where it stopped: the same answers, and nothing paid twice unnoticed.

A process's death is played at every commit of the store, just before it, just after it, and between it and its ledger:
the loop is left, nothing is cleaned up, and a new life opens the same files.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from batchrun.engine.engine import Engine
from batchrun.engine.events import Ended, Event, Observer, Started, Stopping
from batchrun.errors import Exit, LockedError, SpecError, Stopped
from batchrun.runs.run import Result
from batchrun.store.ledger import Ledger
from batchrun.store.writer import Writer
from tests.rehearsal import Rehearsal

#: A death before a commit, between it and its ledger, and after both.
MOMENTS = [(True, False), (False, True), (False, False)]


class Died(SystemExit):
    """The process is gone."""


@contextmanager
def death(commit: int, *, before: bool, half: bool = False) -> Iterator[None]:
    """The process dies at its `commit`-th group commit; `half` way, it is in the database and not in the ledger."""
    real, append, flushers = Writer._commit, Ledger.append, []

    def dying(writer: Writer, group: list[Any]) -> list[Any]:
        flushers.append(writer._flusher)
        if len(flushers) == commit and before:
            raise Died
        done = real(writer, group)
        if len(flushers) == commit:
            raise Died
        return done

    def unfinished(ledger: Ledger, events: list[Any]) -> None:
        append(ledger, events)
        if half and len(flushers) == commit:
            os.truncate(ledger.path, ledger.path.stat().st_size - 20)
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "_commit", dying)
        patch.setattr(Ledger, "append", unfinished)
        with pytest.raises(Died):
            yield
    task = flushers[-1]
    assert task is not None
    assert isinstance(task.exception(), Died)  # asked for, or asyncio would complain of it later, in another test


@contextmanager
def stop_at_event(number: int) -> Iterator[Observer]:
    """An observer that asks the engine to stop, as a signal does, at the `number`-th event."""
    engines: list[Engine] = []
    seen = [0]

    def observe(event: Event) -> None:
        seen[0] += not isinstance(event, Started | Stopping | Ended)
        if seen[0] == number and not engines[-1].leaving:
            engines[-1].stop(Stopped("stop", signal.SIGINT))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchrun.runs.carrying.stop_gently", engines.append)
        yield observe


def answers(job: Rehearsal) -> list[tuple[object, ...]]:
    return [(row["key"], row["status"], row["answer"], row["steps"], row["text"]) for row in job.results()]


#: Trouble for single rows is found by the words of their prompts, so that every life meets the same; what is drawn by
#: chance is waited out or paid for again until it goes well.
TROUBLES = [
    {"kind": "429", "times": 1, "match": "What is 6 plus"},
    {"kind": "404_after_create", "seconds": "inf", "match": "What is 1 plus"},
    {"kind": "stuck", "match": "What is 2 plus"},
    {"kind": "schema_violation", "match": "What is 5 plus"},
    {"kind": "failed_no_errors", "rate": 0.3},
    {"kind": "drop_after", "rate": 0.15},
]


DROPPED = {"Server disconnected without sending a response. (emulated)"}


def job_with_troubles(where: Path) -> Rehearsal:
    return Rehearsal(
        where,
        rows=8,
        limits={"posts": 3, "in_flight": 5},
        retry={"attempts": 20, "ambiguous": {"max_resubmits": 50}},
        poll={"deadline": "5m"},
    )


def live(job: Rehearsal, **options: Any) -> Result:
    plan = job.where / "troubles.json"
    plan.write_text(json.dumps(TROUBLES))
    return job.run(latency="3s", faults=str(plan), **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[object, ...]], int]:
    """The answers of a run that nothing disturbs, and how many commits it takes."""
    job, commits = job_with_troubles(tmp_path_factory.mktemp("whole")), [0]
    with pytest.MonkeyPatch.context() as patch:
        real = Writer._commit

        def counting(writer: Writer, group: list[Any]) -> list[Any]:
            commits[0] += 1
            return real(writer, group)

        patch.setattr(Writer, "_commit", counting)
        assert live(job).exit_code is Exit.SOME_ROWS_FAILED
    kinds = [(row["status"], row["error_class"]) for row in job.results()]
    assert kinds == [
        ("succeeded", None), ("failed", "lost"), ("failed", "timed_out"), ("succeeded", None),
        ("succeeded", None), ("invalid_output", "schema_mismatch"), ("succeeded", None), ("succeeded", None),
    ]  # fmt: skip
    return answers(job), commits[0]


def check_books(job: Rehearsal, result: Result, expected: list[tuple[object, ...]]) -> None:
    """The same end for every row, and every payment on record: known by its id, or as perhaps made."""
    assert answers(job) == expected
    known = {row["interaction_id"] for row in job.usage()}
    unknown = [line for line in job.accepted() if line["id"] not in known]
    assert len(unknown) <= result.summary.possibly_billed_twice
    assert result.summary.pending == 0


@pytest.mark.parametrize(("before", "half"), MOMENTS, ids=["before", "half", "after"])
def test_death_at_every_commit_changes_no_answer_and_hides_no_payment(
    tmp_path: Path, uninterrupted: tuple[list[tuple[object, ...]], int], before: bool, half: bool
) -> None:
    expected, commits = uninterrupted
    assert commits > 20
    for commit in range(1, commits + 1):
        job = job_with_troubles(tmp_path / str(commit))
        with death(commit, before=before, half=half):
            live(job)
        check_books(job, live(job), expected)


def test_a_stop_at_every_event_changes_no_answer_and_leaves_nothing_ambiguous(
    tmp_path: Path, uninterrupted: tuple[list[tuple[object, ...]], int]
) -> None:
    expected, _ = uninterrupted
    number, stopped = 0, True
    while stopped:
        number += 1
        job = job_with_troubles(tmp_path / str(number))
        with stop_at_event(number) as observe:
            stopped = live(job, observe=observe).stopped_by is not None
        result = live(job)
        check_books(job, result, expected)
        assert result.died_before == 0
        assert {row["evidence"] for row in job.usage() if row["state"] == "ambiguous"} <= DROPPED
    assert number > 30


def test_posts_that_a_dead_process_left_open_are_counted_and_at_most_the_slots(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=40, limits={"posts": 4}, retry={"ambiguous": {"model": "hold"}})
    with death(12, before=False):
        job.run()
    result = job.run()
    assert result.died_before == result.summary.ambiguous <= 4
    assert result.exit_code is (Exit.ROWS_HELD if result.died_before else Exit.OK)
    assert max(job.payments().values()) == 1


def test_a_key_of_another_project_gives_up_no_row(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=6)
    with death(4, before=False):
        job.run()
    with closing(sqlite3.connect(job.directory / "run.db")) as db, db:
        db.execute("UPDATE meta SET value = 'the key of the run' WHERE name = 'key'")
    assert len(job.billed()) == 6
    result = job.run(state=tmp_path / "another.db")
    assert result.exit_code is Exit.CREDENTIALS
    assert "another project" in str(result.stopped_by)
    assert result.summary.pending + result.summary.succeeded == 6
    assert job.run().summary.succeeded == 6


def test_two_runs_in_one_directory_do_not_meet(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path)
    job.run()
    met: list[Exception] = []

    def intrude(_event: object) -> None:
        if not met:
            with pytest.raises(LockedError) as caught:
                Rehearsal(tmp_path, rows=25).run()
            met.append(caught.value)

    job.rows.append({"id": "more", "question": "Why?"})
    assert job.run(observe=intrude).exit_code is Exit.OK
    assert "already going on (process" in str(met[0])


def test_a_grown_input_runs_only_the_new_rows_and_keeps_the_inputs_order(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5)
    job.run()
    job.rows.insert(2, {"id": "new", "question": "And this?"})
    result = job.run()
    assert (result.summary.posts_this_run, result.exit_code) == (1, Exit.OK)
    assert [row["key"] for row in job.results()] == ["r0", "r1", "new", "r2", "r3", "r4"]


def test_outputs_are_never_stale_though_the_run_that_made_rows_new_died(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5)
    job.run()
    job.rows.append({"id": "more", "question": "Why?"})
    with death(4, before=False):
        job.run()
    job.run()
    assert len(job.results()) == 6


def test_a_changed_row_that_was_sent_stops_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5)
    job.run()
    job.rows[3]["question"] = "Something else?"
    with pytest.raises(SpecError, match=r"1 changed, 0 gone.*\n.*'r3'"):
        job.run()
    job.rows.pop(3)
    with pytest.raises(SpecError, match="0 changed, 1 gone"):
        job.run()
    assert len(job.ledger()) == 5


def test_a_changed_request_stops_the_run_and_names_the_field(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5)
    job.run()
    job.spec["request"]["model"] = "gemini-3.5-flash-lite"
    job.spec["limits"] = {"rpm": 600}
    with pytest.raises(SpecError, match=r"request\.model changed"):
        job.run()
    job.spec["request"]["model"] = "gemini-3.5-flash"
    assert job.run().nothing_to_do


def test_rows_with_the_same_key_are_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=5)
    job.rows[4]["id"] = "r1"
    with pytest.raises(SpecError, match=r"rows\.jsonl:5: key 'r1' is already used at .*rows\.jsonl:2"):
        job.run()
    assert not (tmp_path / "ledger.jsonl").exists()
    job.rows[4]["id"] = "r4"
    assert job.run().exit_code is Exit.OK


def test_equal_rows_without_a_key_column_are_rows_of_their_own(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1)
    job.spec["input"].pop("key")
    job.rows = [job.rows[0]] * 3
    assert job.run().summary.succeeded == 3
    keys = [row["key"] for row in job.results()]
    assert keys[1:] == [f"{keys[0]}-2", f"{keys[0]}-3"]
    assert job.run().nothing_to_do
