"""An id that came in pieces is worth money: it is looked up, and believed only with our own label on it."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from batchrun.engine.events import Event, Salvaged
from batchrun.errors import Exit, Stopped
from batchrun.interactions.evidence import ids_in
from batchrun.store.reader import Reader
from tests.rehearsal import Rehearsal

from .test_resume import stop_at_event


@pytest.mark.parametrize("fault", ["truncate", "truncated_200"])
def test_the_id_in_a_broken_answer_is_found_and_nothing_is_sent_again(tmp_path: Path, fault: str) -> None:
    job, seen = Rehearsal(tmp_path, rows=10, retry={"ambiguous": {"model": "hold"}}), list[Event]()
    result = job.run(faults=f"{fault}:1.0", observe=seen.append)
    assert result.exit_code is Exit.OK
    assert (result.summary.posts, result.summary.possibly_billed_twice, len(job.ledger())) == (10, 0, 10)
    assert {row["interaction_id"] for row in job.usage()} == {line["id"] for line in job.billed()}
    assert len([event for event in seen if isinstance(event, Salvaged)]) == 10


def test_a_found_interaction_that_the_service_does_not_know_yet_is_looked_for_again(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4, retry={"ambiguous": {"model": "hold"}})
    plan = [{"kind": "truncated_200"}, {"on": "get", "kind": "503", "rate": 0.5}]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert job.run(faults=str(tmp_path / "plan.json")).exit_code is Exit.OK


@pytest.mark.parametrize("fault", ["truncated_id_200", "garbage_200", "no_id_200", "drop_after", "truncate_head"])
def test_an_answer_without_a_whole_id_stays_in_doubt_and_what_came_is_kept(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=3, retry={"ambiguous": {"model": "hold"}})
    result = job.run(faults=f"{fault}:#2")
    assert (result.summary.ambiguous, len(job.ledger())) == (1, 3)
    with Reader(job.directory / "run.db") as reader:
        (doubted,) = [each for each in reader.attempts(raw=True) if each.state == "ambiguous"]
    came = {"truncated_id_200": b'{"id":"v1_', "garbage_200": b"\x00\xff{]", "no_id_200": b'{"object"'}
    assert (doubted.reply or b"").startswith(came.get(fault, b""))
    assert bool(doubted.reply) is (fault in came)
    assert doubted.raw is None


def test_an_interaction_of_somebody_else_is_never_taken_for_ours(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2, retry={"ambiguous": {"model": "hold"}})
    job.run()
    theirs = job.billed()[0]["id"]
    job.rows.append({"id": "new", "question": "Whose is it?"})
    with stop_at_event(1) as observe:
        job.run(faults="garbage_200:#1", observe=observe)
    put_reply(job, f'{{"id": "{theirs}", "status": "in_pro'.encode())
    result = job.run()
    assert (result.summary.ambiguous, result.exit_code) == (1, Exit.ROWS_HELD)
    assert result.summary.errors == {"ambiguous": 1}
    assert [row["interaction_id"] for row in job.usage() if row["key"] == "new"] == [None]


def put_reply(job: Rehearsal, reply: bytes) -> None:
    """As if this had come of the one answer that is in doubt, in a run that was stopped before it was looked at."""
    import sqlite3

    with sqlite3.connect(job.directory / "run.db") as db:
        changed = db.execute("UPDATE attempt SET raw = ? WHERE state = 'ambiguous'", (zlib.compress(reply),))
        assert changed.rowcount == 1
        db.execute("UPDATE row SET outcome = NULL, finished_at = NULL WHERE outcome = 'ambiguous'")
    db.close()


def test_a_stop_before_the_look_loses_nothing(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=1, retry={"ambiguous": {"model": "hold"}})
    with stop_at_event(1) as observe:  # the POST itself
        assert isinstance(job.run(faults="truncated_200:1.0", observe=observe).stopped_by, Stopped)
    result = job.run()
    assert (result.exit_code, result.summary.posts, result.died_before) == (Exit.OK, 1, 0)


def test_an_interaction_that_is_not_stored_is_not_looked_for(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2, retry={"ambiguous": {"model": "hold"}}, request={"store": False})
    result = job.run(faults="truncated_200:#1", latency="1s")
    assert result.summary.errors == {"ambiguous": 1}
    assert result.summary.elapsed_s < 10


def test_another_id_under_our_own_label_is_our_answer_and_our_id_stays(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3, poll={"deadline": "5m"})
    assert job.run(faults="wrong_id:#2").exit_code is Exit.OK
    assert {row["interaction_id"] for row in job.usage()} == {line["id"] for line in job.billed()}


def test_a_turn_after_an_answer_under_another_id_goes_on_from_ours(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.spec["request"] = {"model": "gemini-3.5-flash", "turns": [{"input": "{{ question }}"}, {"input": "And why?"}]}
    assert job.run(faults="wrong_id:#1").exit_code is Exit.OK
    assert len(job.billed()) == 4


def test_another_label_under_our_id_holds_the_row_at_once_and_keeps_what_was_shown(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=3)
    result = job.run(faults="wrong_label:#2", latency="1s")
    assert (result.exit_code, result.summary.ambiguous, len(job.ledger())) == (Exit.ROWS_HELD, 1, 3)
    assert result.summary.elapsed_s < 60
    (held,) = [row for row in job.results() if row["status"] == "ambiguous"]
    assert held["error_class"] == "label_mismatch"
    assert "another's interaction" in held["error_message"]
    assert job.run().nothing_to_do


@pytest.mark.parametrize(
    ("reply", "ids"),
    [
        (b'{"id":"v1_a","st', ["v1_a"]),
        (b'{"id" : "v1_a"', ["v1_a"]),
        (b'{"id":"v1_', []),
        (b'{"id":"../x"}', []),
        (b'{"id":"' + b"a" * 257 + b'"}', []),
        (b'{"call_id":"x","id":"a","id":"a","id":"b","id":"c","id":"d"', ["a", "b", "c"]),
        (b"\xff\x00garbage", []),
    ],
)
def test_only_whole_ids_are_candidates_and_few_of_them(reply: bytes, ids: list[str]) -> None:
    assert ids_in(reply) == ids
