"""`verify` finds nothing wrong with what batchrun leaves behind, and finds each thing that is flipped by hand."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batchrun.aftercare.recovery import recover
from batchrun.aftercare.verification import Verified, verify
from batchrun.errors import Exit, LockedError, SpecError, StoreError
from batchrun.runs.directory import RunDir
from batchrun.runs.exports import write_outputs
from batchrun.runs.options import Options
from batchrun.runs.run import run
from batchrun.spec.load import load_job
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader
from tests.aftercare.visits import cancel_all, leave_in_flight, purge_all
from tests.engine.test_resume import death, job_with_troubles, live
from tests.engine.test_talks import interview
from tests.rehearsal import Rehearsal

PICTURE = {"model": "gemini-3.1-flash-image", "input": "Draw {{ question }}", "response_format": {"type": "image"}}


def books(job: Rehearsal) -> Verified:
    return verify(RunDir(job.directory))


def sound(job: Rehearsal) -> Verified:
    found = books(job)
    assert found.differences == ()
    assert found.exit_code is Exit.OK
    return found


def execute(job: Rehearsal, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(job.directory / "run.db")) as db, db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(statement, values)


@pytest.fixture
def job(tmp_path: Path) -> Rehearsal:
    job = Rehearsal(tmp_path, rows=3)
    assert job.run().exit_code is Exit.OK
    sound(job)
    return job


# -- what is sound -----------------------------------------------------------------------------------------------------


def test_a_finished_run_adds_up_and_its_figures_are_told(job: Rehearsal) -> None:
    found = sound(job)
    assert (found.rows, found.attempts, found.files, found.stale) == (3, 3, 3, False)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_books_add_up_after_every_death_and_every_resume(tmp_path: Path, before: bool) -> None:
    for commit in range(1, 25, 3):
        job = job_with_troubles(tmp_path / str(commit))
        with death(commit, before=before):
            live(job)
        sound(job)
        live(job)
        sound(job)


FAULTS = [
    "drop_after", "late_usage=5s", "no_usage", "wrong_id:#1", "failed:#1", "incomplete:#1", "invalid_json:#1",
    "404_after_create=inf:#1", "stuck:#1", "429:#1", "giant_body:#1", "late_usage=10m:#1", "truncated_200:#1",
    "garbage_200:#1", "wrong_label:#1", "lone_surrogate:#1", "unknown_status:#1",
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_books_add_up_whatever_the_service_does(tmp_path: Path, fault: str) -> None:
    job = Rehearsal(tmp_path, rows=3, poll={"deadline": "5m"})
    job.run(latency="3s", faults=fault)
    sound(job)


def test_the_books_add_up_through_every_command(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=4)
    leave_in_flight(job)
    sound(job)
    cancel_all(job)
    sound(job)
    job.rows[1]["question"] = "Another?"
    job.rows.pop(0)
    job.run(accept_change=True)
    sound(job)
    purge_all(job)
    sound(job)


@pytest.mark.parametrize("store", [True, False])
def test_conversations_and_rows_without_keys_add_up(tmp_path: Path, store: bool) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.spec["input"].pop("key")
    turns = [{"input": "First: {{ question }}"}, {"input": "And then?"}]
    job.spec["request"] = {"model": "gemini-3.5-flash", "turns": turns, "store": store}
    job.rows.append({"question": "ünïcödé \U0001f600 1e400", "f": 0.1, "n": 10**25})
    assert job.run().exit_code is Exit.OK
    assert sound(job).attempts == 6


def test_outputs_of_an_earlier_state_are_told_and_are_no_difference(job: Rehearsal) -> None:
    job.rows.append({"id": "more", "question": "Why?"})
    with death(2, before=False):
        job.run()
    assert sound(job).stale


# -- what is flipped by hand -------------------------------------------------------------------------------------------

#: What is done to the checkpoint, the law that it breaks, and words of the message.
FLIPS: dict[str, tuple[str, str, str]] = {
    "outcome unknown": ("UPDATE row SET outcome = 'done' WHERE id = 1", "rows", "an outcome that is none: done"),
    "outcome without end": ("UPDATE row SET finished_at = NULL WHERE id = 1", "rows", "outcome without an end"),
    "pending with an end": ("UPDATE row SET outcome = NULL WHERE id = 1", "rows", "without an outcome"),
    "input edited": ('UPDATE row SET data = \'{"id":"r0"}\' WHERE id = 1', "rows", "not the one that was read"),
    "input hash edited": ("UPDATE row SET input_sha = 'x' WHERE id = 1", "rows", "not the one that was read"),
    "input damaged": ("UPDATE row SET data = '{' WHERE id = 1", "rows", "not the one that was read"),
    "row deleted": ("DELETE FROM row WHERE id = 1", "intents", "belongs to no row"),
    "state unknown": ("UPDATE attempt SET state = 'sent' WHERE id = 1", "intents", "a state that is none: sent"),
    "no POST": ("UPDATE attempt SET posts = 0 WHERE id = 1", "intents", "no POST that was meant"),
    "later epoch": ("UPDATE attempt SET epoch = 99 WHERE id = 1", "intents", "a later life"),
    "label edited": ("UPDATE attempt SET intent_key = 'br1-0' WHERE id = 1", "intents", "its label is not"),
    "number edited": ("UPDATE attempt SET number = 7 WHERE id = 1", "intents", "its label is not"),
    "key edited": ("UPDATE row SET key = 'other' WHERE id = 1", "intents", "its label is not"),
    "exchange skipped": ("UPDATE attempt SET exchange = 1 WHERE id = 1", "one live attempt", "has no answer"),
    "id gone": ("UPDATE attempt SET interaction_id = NULL WHERE id = 1", "ids", "no interaction id"),
    "id of nothing": ("UPDATE attempt SET state = 'refused' WHERE id = 1", "ids", "never accepted"),
    "id shared": (
        "UPDATE attempt SET interaction_id = (SELECT interaction_id FROM attempt WHERE id = 2) WHERE id = 1",
        "ids",
        "with another",
    ),
    "answer gone": ("UPDATE attempt SET raw = NULL WHERE id = 1", "answers", "no answer on record"),
    "answer damaged": ("UPDATE attempt SET raw = x'00' WHERE id = 1", "answers", "is damaged"),
    "answer of no fetch": ("UPDATE attempt SET state = 'lost' WHERE id = 1", "answers", "though it was not"),
    "status edited": ("UPDATE attempt SET interaction_status = 'failed' WHERE id = 1", "answers", "says completed"),
    "usage edited": ("UPDATE attempt SET usage = '{\"total_tokens\": 1}' WHERE id = 1", "usage", "its answer says"),
    "usage gone": ("UPDATE attempt SET usage = NULL WHERE id = 1", "usage", "its answer says"),
    "usage damaged": ("UPDATE attempt SET usage = '{' WHERE id = 1", "usage", "its answer says"),
    "all superseded": (
        "UPDATE attempt SET superseded_at = 1, superseded_by = 'user' WHERE id = 1",
        "answers",
        "is succeeded without an answer",
    ),
    "never sent": ("DELETE FROM attempt WHERE id = 1", "answers", "is succeeded without an answer"),
}


@pytest.mark.parametrize("flip", FLIPS)
def test_what_is_flipped_in_the_checkpoint_is_found(job: Rehearsal, flip: str) -> None:
    statement, law, said = FLIPS[flip]
    execute(job, statement)
    found = books(job)
    assert found.exit_code is Exit.INTERNAL
    assert any(each.law == law and said in each.said for each in found.differences), found.differences


def test_a_second_live_attempt_that_a_lost_index_let_in_is_found(job: Rehearsal) -> None:
    execute(job, "DROP INDEX one_live_attempt")
    columns = "row_id, number, exchange, turn, epoch, state, request_sha, intent_at, posts"
    execute(job, f"INSERT INTO attempt ({columns}, intent_key) SELECT {columns}, 'other' FROM attempt WHERE id = 1")
    assert "row 'r0': has 2 live attempts at one exchange" in said(books(job))


def test_a_row_that_succeeded_with_a_post_in_doubt_is_found(job: Rehearsal) -> None:
    execute(job, "UPDATE attempt SET state = 'ambiguous', raw = NULL, interaction_id = NULL WHERE id = 1")
    assert "though a POST of its is in doubt" in said(books(job))


def test_an_answer_that_was_exchanged_for_another_is_found_by_its_usage(job: Rehearsal) -> None:
    with closing(sqlite3.connect(job.directory / "run.db")) as db:
        (raw,) = db.execute("SELECT raw FROM attempt WHERE id = 1").fetchone()
    answer = json.loads(zlib.decompress(raw))
    answer["usage"]["total_tokens"] += 1
    execute(job, "UPDATE attempt SET raw = ? WHERE id = 1", zlib.compress(json.dumps(answer).encode()))
    assert "usage" in {each.law for each in books(job).differences}


def said(found: Verified) -> str:
    return "\n".join(f"{each.where}: {each.said}" for each in found.differences)


def append_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def remove(path: Path) -> None:
    path.unlink()


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [append_byte, remove, flip_byte])
@pytest.mark.parametrize("name", ["results.parquet", "usage.parquet"])
def test_an_output_file_that_was_edited_or_deleted_is_found(
    job: Rehearsal, name: str, damage: Callable[[Path], None]
) -> None:
    damage(job.directory / name)
    found = books(job)
    assert any(each.law == "outputs" and each.where.endswith(name) for each in found.differences)
    assert "`batchrun export` makes it again" in said(found)
    with Reader(job.directory / "run.db") as reader:
        write_outputs(load_job(job.write()), RunDir(job.directory), reader)
    sound(job)


def test_a_summary_that_is_gone_or_says_something_else_is_found(job: Rehearsal) -> None:
    path = job.directory / "run.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"succeeded": 2, "failed": 1}))
    assert "says succeeded 2, and the checkpoint 3" in said(books(job))
    path.unlink()
    assert "run.json: is gone or damaged" in said(books(job))


def test_a_usage_file_whose_sums_are_others_is_found_though_its_hash_was_forged(job: Rehearsal) -> None:
    path, summary = job.directory / "usage.parquet", job.directory / "run.json"
    pq.write_table(pq.read_table(path).slice(1), path)
    told = json.loads(summary.read_text())
    told["sha256"]["usage"] = sha256(path.read_bytes()).hexdigest()
    summary.write_text(json.dumps(told))
    assert "total_tokens adds up to" in said(books(job))


def test_media_that_were_changed_or_deleted_are_found(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.spec["request"] = PICTURE
    job.spec["output"] = {"dir": "elsewhere"}
    assert job.run().exit_code is Exit.OK
    first, second = sorted((job.directory / "media").iterdir())
    assert sound(job).files == 5
    flip_byte(first)
    second.unlink()
    found = books(job)
    assert sorted(each.law for each in found.differences) == ["media", "media"]
    assert f"{first.name} is not what was written" in said(found)
    assert f"{second.name} cannot be read" in said(found)


# -- the ledger beside the checkpoint ----------------------------------------------------------------------------------


def rewrite_ledger(job: Rehearsal, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = job.directory / "run.ledger"
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def without_the_first(kind: str) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        dropped = next(line for line in lines if json.loads(line[9:])[1] == kind)
        return [line for line in lines if line != dropped]

    return change


@pytest.mark.parametrize(
    ("kind", "said"), [("intent", "its intent is not in the ledger"), ("id", "is not in the ledger")]
)
def test_an_intent_or_an_id_that_the_ledger_lacks_is_found(job: Rehearsal, kind: str, said: str) -> None:
    rewrite_ledger(job, without_the_first(kind))
    (found,) = books(job).differences
    assert (found.law, found.where) == ("ledger", "row 'r0', attempt 1")
    assert said in found.said


def test_a_damaged_line_of_the_ledger_is_found_and_so_is_what_it_told(job: Rehearsal) -> None:
    rewrite_ledger(job, lambda lines: [lines[0], b"0" * 8 + lines[1][8:], *lines[2:]])
    assert [(each.law, each.where) for each in books(job).differences] == [
        ("ledger", "run.ledger, line 2"),
        ("ledger", "row 'r0', attempt 1"),
    ]


def test_a_ledger_that_is_gone_or_ahead_of_its_checkpoint_is_found(job: Rehearsal) -> None:
    execute(job, "UPDATE meta SET value = '1' WHERE name = 'ledger'")
    assert "batchrun recover" in said(books(job))
    (job.directory / "run.ledger").unlink()
    assert "run.ledger: is gone" in said(books(job))


def test_what_a_dying_process_left_untold_is_no_gap_until_another_goes_on(job: Rehearsal) -> None:
    rewrite_ledger(job, lambda lines: lines[:-2])
    sound(job)
    rewrite_ledger(job, without_the_first("intent"))
    assert {each.law for each in books(job).differences} == {"ledger"}


def test_a_recovered_checkpoint_adds_up_before_and_after_its_answers_are_fetched(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=2)
    assert job.run().exit_code is Exit.OK
    for path in job.directory.glob("run.db*"):
        path.unlink()
    recover(load_job(job.write()), RunDir(job.directory), job.clock.wall())
    sound(job)
    assert job.run().exit_code is Exit.OK
    sound(job)


# -- when it cannot be verified ----------------------------------------------------------------------------------------


def test_nothing_is_verified_while_the_run_goes_on_or_where_there_is_none(job: Rehearsal, tmp_path: Path) -> None:
    lock = RunLock(job.directory)
    try:
        with pytest.raises(LockedError, match="use this command again then"):
            books(job)
    finally:
        lock.close()
    with pytest.raises(SpecError, match="nothing has been run here"):
        verify(RunDir(tmp_path / "nowhere"))


def test_a_checkpoint_that_is_no_database_is_told_as_such(job: Rehearsal) -> None:
    path = job.directory / "run.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
    for name in ("run.db-wal", "run.db-shm"):
        (job.directory / name).unlink(missing_ok=True)
    with pytest.raises(StoreError, match=r"run\.db.*batchrun recover"):
        books(job)


def test_verifying_changes_no_file(job: Rehearsal) -> None:
    def state() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in job.directory.iterdir() if path.name != "run.lock"}

    sound(job)
    before = state()
    sound(job)
    assert state() == before


def test_a_copied_or_moved_run_is_judged_by_its_own_files(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 3)
    job.run()
    copy = tmp_path / "copy"
    shutil.copytree(job.directory, copy)
    assert verify(RunDir(copy)).differences == ()
    (copy / "results.parquet").unlink()
    assert [each.law for each in verify(RunDir(copy)).differences] == ["outputs"]
    moved = job.directory.rename(tmp_path / "moved")
    assert verify(RunDir(moved)).differences == ()


def test_a_run_in_a_relative_directory_is_verified_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Rehearsal(tmp_path, 3)
    loaded = load_job(job.write())
    monkeypatch.chdir(tmp_path)
    run(loaded, Options(Path("here"), emulator=job.settings()), job.clock.wall, run_async=job.clock.run)
    monkeypatch.chdir("/")
    assert verify(RunDir(tmp_path / "here")).differences == ()


def test_an_emptied_checkpoint_leads_to_recover(job: Rehearsal) -> None:
    for path in job.directory.glob("run.db*"):
        path.write_bytes(b"")
    with pytest.raises(StoreError, match="batchrun recover"):
        verify(RunDir(job.directory))
