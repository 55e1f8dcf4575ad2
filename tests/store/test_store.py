"""The checkpoint: durable steps, one live attempt a row, one writer at a time. Real SQLite files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from batchrun.errors import InvariantError, LockedError, SpecError, StoreError
from batchrun.rows import Finish, InputRow, Outcome, Problem
from batchrun.spec.canonical import sha256_of
from batchrun.store.admission import admit
from batchrun.store.lock import RunLock, running
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptState, Intent
from batchrun.store.reopening import reopen
from batchrun.store.store import Store
from batchrun.store.tally import tally_of


def rows(count: int) -> list[InputRow]:
    return [InputRow(f"r{n}", f"in:{n + 1}", sha256_of({"n": n}), {"n": n}) for n in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "run.db")
    admit(store, rows(5), 1.0, named=True, complete=True)
    store.begin_epoch()
    yield store
    store.close()


def intent(row_id: int, number: int = 1) -> Intent:
    return Intent(row_id, f"r{row_id - 1}", number, f"key-{row_id}-{number}", "sha", "m")


def wait(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def test_sqlite_itself_refuses_a_second_live_post_for_a_row(store: Store) -> None:
    wait(store.arm(intent(1), 1.0))
    with pytest.raises(InvariantError, match="UNIQUE"):
        wait(store.arm(intent(1, number=2), 2.0))


@pytest.mark.parametrize("state", [AttemptState.NOT_SENT, AttemptState.REFUSED])
def test_a_post_that_cost_nothing_may_be_armed_again_as_the_same_attempt(store: Store, state: AttemptState) -> None:
    async def life() -> tuple[int, int]:
        first = await store.arm(intent(1), 1.0)
        await store.not_submitted(first, state, "no", 429, "x")
        return first, await store.arm(intent(1), 2.0, first)

    first, again = wait(life())
    assert first == again
    with Reader(store.path) as reader:
        attempt = next(reader.attempts())
    assert (attempt.state, attempt.posts) == (AttemptState.INTENT, 2)


def test_an_ambiguous_attempt_blocks_the_row_until_it_is_superseded(store: Store) -> None:
    async def life() -> None:
        first = await store.arm(intent(1), 1.0)
        await store.not_submitted(first, AttemptState.AMBIGUOUS, "reset", None, "ambiguous")
        with pytest.raises(InvariantError):
            await store.arm(intent(1, number=2), 2.0, first)
        await store.supersede(first, 3.0)
        await store.arm(intent(1, number=2), 4.0)

    wait(life())


def test_one_refused_write_does_not_take_its_group_down(store: Store) -> None:
    async def life() -> list[object]:
        twice = [store.arm(intent(1), 1.0), store.arm(intent(1, number=2), 1.0)]
        return await asyncio.gather(*twice, store.arm(intent(2), 1.0), return_exceptions=True)

    first, second, third = wait(life())
    assert isinstance(first, int)
    assert isinstance(second, InvariantError)
    assert isinstance(third, int)


def test_an_intent_of_a_dead_process_is_ambiguous_from_the_next_life_on(store: Store) -> None:
    wait(store.arm(intent(1), 1.0))
    store.close()
    again = Store(store.path)
    assert again.begin_epoch() == 1
    with Reader(store.path) as reader:
        assert next(reader.attempts()).state is AttemptState.AMBIGUOUS
    again.close()


def test_a_process_that_was_taken_for_dead_cannot_write_any_more(store: Store) -> None:
    successor = Store(store.path)
    successor.begin_epoch()
    with pytest.raises(StoreError, match="taken over"):
        wait(store.arm(intent(1), 1.0))
    successor.close()


def test_every_commit_reaches_the_disk(store: Store) -> None:
    pragmas = {
        name: store.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_answers_come_back_byte_for_byte_whatever_they_are(store: Store) -> None:
    raw = b'{"text": "\\ud800"}' + bytes(range(256)) * 10

    async def life() -> None:
        attempt = await store.arm(intent(1), 1.0)
        await store.submitted(attempt, "v1_a", 2.0)
        await store.fetched(
            attempt, raw, 3.0, status="completed", model=None, tier=None, usage={"total_tokens": 7}, polls=2
        )

    wait(life())
    with Reader(store.path) as reader:
        attempt = next(reader.attempts(raw=True))
    assert (attempt.raw, attempt.usage, attempt.interaction_id, attempt.model) == (
        raw,
        {"total_tokens": 7},
        "v1_a",
        "m",
    )


def test_rows_under_way_come_before_rows_to_send_and_ended_rows_do_not_come(store: Store) -> None:
    async def life() -> None:
        await store.submitted(await store.arm(intent(3), 1.0), "v1_c", 1.0)
        await store.finish(1, Finish(Outcome.SUCCEEDED), 1.0)

    wait(life())
    with Reader(store.path) as reader:
        assert [row.key for row in reader.pending(under_way=True)] == ["r2"]
        assert [row.key for row in reader.pending(under_way=False)] == ["r1", "r3", "r4"]
        assert [row.key for row in reader.pending(under_way=False, limit=3)] == ["r1"]
        assert (reader.count_pending(), reader.count_pending(limit=2)) == (4, 1)


def test_reading_what_is_pending_costs_each_row_the_same_however_many_there_are(tmp_path: Path) -> None:
    def steps(count: int) -> int:
        """Work of SQLite's, in hundreds of instructions."""
        store, done = Store(tmp_path / f"{count}.db"), []
        admit(store, rows(count), 1.0, named=True, complete=True)
        store.close()
        with Reader(store.path) as reader:
            reader.connection.set_progress_handler(lambda: done.append(1), 100)
            assert sum(1 for _ in reader.pending(under_way=False)) == count
        return len(done)

    assert steps(4_000) < 5 * steps(1_000)


def test_reopened_rows_get_a_new_attempt_and_rejected_rows_do_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "run.db")
    bad = InputRow("bad", "in:9", "f" * 64, {"x": 1}, Problem("bad_key", "no"))
    admit(store, [*rows(1), bad], 1.0, named=True, complete=True)
    store.begin_epoch()

    async def life() -> None:
        await store.submitted(await store.arm(intent(1), 1.0), "v1_a", 1.0)
        await store.finish(1, Finish(Outcome.FAILED, "lost", "gone"), 2.0)

    wait(life())
    assert reopen(store, ["failed"], [], 3.0) == 1
    with Reader(store.path) as reader:
        assert [row.key for row in reader.pending(under_way=False)] == ["r0"]
    wait(store.arm(intent(1, number=2), 4.0))
    store.close()


def test_reading_disturbs_nothing_and_sees_one_moment(store: Store) -> None:
    with Reader(store.path) as reader, reader.snapshot():
        before = tally_of(reader).outcomes
        wait(store.finish(1, Finish(Outcome.SUCCEEDED), 1.0))
        assert tally_of(reader).outcomes == before == {"pending": 5}
    with Reader(store.path) as reader:
        assert tally_of(reader).outcomes == {"pending": 4, "succeeded": 1}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.connection.execute("DELETE FROM row")


def test_a_full_disk_stops_every_writer_with_advice_and_keeps_what_was_committed(store: Store) -> None:
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")

    async def life() -> None:
        attempt = await store.arm(intent(1), 1.0)
        await store.submitted(attempt, "v1_a", 1.0)
        huge = bytes(range(256)) * 4096
        raw = b"".join(bytes([n]) + huge for n in range(4))
        with pytest.raises(StoreError, match="run the same command again"):
            await store.fetched(attempt, raw, 2.0, status="completed", model=None, tier=None, usage=None, polls=1)
        with pytest.raises(StoreError):
            await store.finish(2, Finish(Outcome.FAILED), 2.0)

    wait(life())
    store.close()
    again = Store(store.path)
    with Reader(again.path) as reader:
        assert next(reader.attempts()).interaction_id == "v1_a"
    again.close()


def test_a_damaged_checkpoint_is_never_recreated_silently(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="Nothing was sent"):
        Store(path)
    assert path.read_bytes().startswith(b"this is not")


def test_a_checkpoint_of_a_newer_version_is_left_alone(store: Store) -> None:
    store.db.table("_sqlite_migrations").insert({"migration_set": "batchrun", "name": "m999_future", "applied_at": "x"})
    store.close()
    with pytest.raises(StoreError, match="newer batchrun"):
        Store(store.path)


def test_a_directory_without_a_run_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing has been run here"):
        Reader(tmp_path / "run.db")


@pytest.mark.parametrize("left", [b"", b'{"pid": 4194303, "host": "%s"}' % gethostname().encode()])
def test_a_holder_that_has_not_signed_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bytes
) -> None:
    note = tmp_path / "run.lock"
    with closing(RunLock(tmp_path)):
        signed = note.read_bytes()
        note.write_bytes(left)
        # Nothing is slept: the wait is the moment in which the holder signs.
        monkeypatch.setattr("time.sleep", lambda _seconds: note.write_bytes(signed))
        with pytest.raises(LockedError, match=f"process {os.getpid()} on "):
            RunLock(tmp_path)
        note.write_bytes(left)
        assert (running(tmp_path) or "").startswith(f"process {os.getpid()} on ")


def test_the_lock_names_its_holder_and_goes_with_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with pytest.raises(LockedError, match=r"process \d+ on "):
        RunLock(tmp_path)
    lock.close()
    RunLock(tmp_path).close()
