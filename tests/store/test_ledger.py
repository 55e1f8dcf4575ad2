"""The ledger of ids: it is never ahead of an intact checkpoint, and what it says survives any damage but its own."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchrun.errors import StoreError
from batchrun.store.admission import admit
from batchrun.store.ledger import Ledger, read
from batchrun.store.records import AttemptState, Intent
from batchrun.store.store import Store
from tests.store.test_store import rows

SHAS = [row.sha for row in rows(5)]


def intent(row: int, number: int = 1) -> Intent:
    return Intent(row + 1, f"r{row}", number, f"key-{row}-{number}", "sha", "m", input_sha=SHAS[row])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "run.db")
    store.set_meta(run_id="abc", job="job", target="https://x", key_column="id", request="f", request_parts="{}")
    admit(store, rows(5), 1.0, named=True, complete=True)
    store.begin_epoch()
    yield store
    store.close()


async def three_posts(store: Store) -> None:
    """One accepted, one refused, one of which nobody knows."""
    await store.submitted(await store.arm(intent(0), 2.0), "v1_a", 3.0)
    await store.not_submitted(await store.arm(intent(1), 2.0), AttemptState.REFUSED, "no", 429, "quota")
    await store.arm(intent(2), 2.0)


EVENTS = [
    ("run", "abc", "job", "https://x", "id", "f", "{}"),
    ("intent", 1, "r0", 1, 0, 0, "sha", "m", False, 2.0, SHAS[0]),
    ("id", 1, "v1_a", 3.0),
    ("intent", 2, "r1", 1, 0, 0, "sha", "m", False, 2.0, SHAS[1]),
    ("free", 2),
    ("intent", 3, "r2", 1, 0, 0, "sha", "m", False, 2.0, SHAS[2]),
]


def test_the_ledger_has_each_intent_each_id_and_each_post_that_cost_nothing(store: Store) -> None:
    asyncio.run(three_posts(store))
    ledger = store.path.with_name("run.ledger")
    assert list(read(ledger)) == EVENTS
    assert ledger.stat().st_mode & 0o777 == 0o600


def test_a_ledger_that_is_gone_is_written_anew_from_the_checkpoint(store: Store) -> None:
    asyncio.run(three_posts(store))
    store.close()
    store.path.with_name("run.ledger").unlink()
    again = Store(store.path)
    again.begin_epoch()
    again.close()
    told = [(event and event[:9], event and event[9:]) for event in read(store.path.with_name("run.ledger"))]
    assert told == [(event[:9], event[9:]) for event in EVENTS]
    Store(store.path).close()


@pytest.mark.parametrize("cut", [1, 40, 90])
def test_an_unfinished_line_is_passed_over_and_written_anew(store: Store, cut: int) -> None:
    """A death between the commit and the end of the ledger's line."""
    asyncio.run(three_posts(store))
    store.close()
    ledger = store.path.with_name("run.ledger")
    os.truncate(ledger, ledger.stat().st_size - cut)
    again = Store(store.path)
    again.begin_epoch()
    asyncio.run(again.arm(intent(3), 4.0))
    again.close()
    assert [event and event[:2] for event in read(ledger)] == [*(event[:2] for event in EVENTS), ("intent", 4)]
    Store(store.path).close()


def test_a_checkpoint_that_is_older_than_its_ledger_is_refused(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with sqlite3.connect(copy) as other:
        store.connection.backup(other)
    other.close()
    asyncio.run(three_posts(store))
    store.close()
    for leftover in tmp_path.glob("run.db-*"):
        leftover.unlink()
    shutil.copy(copy, store.path)
    with pytest.raises(StoreError, match=r"older than its ledger.*nothing was sent.*batchrun recover"):
        Store(store.path)


def test_a_checkpoint_whose_latest_commits_were_lost_with_its_wal_is_refused(store: Store, tmp_path: Path) -> None:
    asyncio.run(three_posts(store))
    left = tmp_path / "left"
    left.mkdir()
    for name in ("run.db", "run.ledger"):  # as a copy without the -wal file
        shutil.copy(tmp_path / name, left / name)
    with pytest.raises(StoreError, match="batchrun recover"):
        Store(left / "run.db")


def test_a_missing_checkpoint_is_not_made_anew_while_the_ledger_tells_of_one(store: Store) -> None:
    asyncio.run(three_posts(store))
    store.close()
    store.path.unlink()
    with pytest.raises(StoreError, match=r"is gone.*batchrun recover"):
        Store(store.path)
    assert not store.path.exists()


def test_a_damaged_line_is_told_and_the_others_are_read(store: Store) -> None:
    asyncio.run(three_posts(store))
    ledger = store.path.with_name("run.ledger")
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"v1_a", b"v1_b")
    ledger.write_bytes(b"".join(lines))
    assert list(read(ledger)) == [*EVENTS[:2], None, *EVENTS[3:]]


def full_disk(refused: int) -> Callable[..., int]:
    """An `os.pwrite` that finds no room so many times."""
    left, write = [refused], os.pwrite

    def writes(descriptor: int, content: bytes, place: int) -> int:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content, place)

    return writes


def test_with_a_full_disk_nothing_begins_and_what_has_happened_is_still_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def life() -> None:
        first, second = await asyncio.gather(store.arm(intent(0), 2.0), store.arm(intent(1), 2.0))
        monkeypatch.setattr(os, "pwrite", full_disk(1))
        await store.submitted(first, "v1_a", 3.0)
        with pytest.raises(StoreError, match="make room"):
            await store.arm(intent(2), 3.0)
        await store.submitted(second, "v1_b", 3.0)

    assert store.path.with_name("run.ballast").stat().st_size >= 1 << 20
    asyncio.run(life())
    assert not store.path.with_name("run.ballast").exists()
    assert [event for event in read(store.path.with_name("run.ledger")) if event and event[0] == "id"] == [
        ("id", 1, "v1_a", 3.0),
        ("id", 2, "v1_b", 3.0),
    ]


def test_a_database_that_finds_no_room_stores_the_ids_and_refuses_what_would_begin(store: Store) -> None:
    large = replace(intent(1), files=({"file": "x" * 200_000},))

    async def life() -> list[object]:
        first = await store.arm(intent(0), 2.0)
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return await asyncio.gather(
            store.submitted(first, "v1_a", 3.0),
            store.arm(large, 3.0),
            store.arm(intent(2), 3.0),
            return_exceptions=True,
        )

    stored, *refused = asyncio.run(life())
    assert stored is None
    assert all(isinstance(error, StoreError) and "make room" in str(error) for error in refused)
    known = store.connection.execute("SELECT id, state, interaction_id FROM attempt").fetchall()
    assert known == [(1, "submitted", "v1_a")]


def test_a_commit_whose_sync_fails_is_made_anew_and_nothing_begins_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems tell only then that they are full."""

    async def life() -> None:
        first = await store.arm(intent(0), 2.0)
        monkeypatch.setattr(store.db, "conn", SyncFails(store.connection))
        await store.submitted(first, "v1_a", 3.0)
        with pytest.raises(StoreError, match="make room"):
            await store.arm(intent(1), 3.0)

    asyncio.run(life())
    assert store.connection.execute("SELECT state, interaction_id FROM attempt").fetchall() == [("submitted", "v1_a")]


class SyncFails:
    """A connection whose next commit is not synced."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self._fails = connection, True

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "COMMIT" and self._fails:
            self._fails = False
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(statement, *values)


def test_a_run_does_not_begin_without_room_in_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "run.db")

    def no_room(_descriptor: int, _start: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(StoreError, match=r"4 MB of room.*Nothing was sent"):
        store.begin_epoch()
    store.close()
    assert not (tmp_path / "run.ballast").exists()


def test_two_ledgers_read_alike_whatever_is_in_a_key(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run.ledger")
    events = [("intent", 1, key) for key in ("", "a\nb", "\u2028", "\ud800", "ключ", '"', "x" * 50_000)]
    ledger.append(events)
    ledger.append([("id", 1, "v1")])
    ledger.close()
    assert list(read(tmp_path / "run.ledger")) == [*events, ("id", 1, "v1")]
    assert Ledger(tmp_path / "run.ledger").last == len(events) + 1


def test_damage_at_the_end_of_a_ledger_does_not_make_it_forget(store: Store) -> None:
    asyncio.run(three_posts(store))
    store.close()
    ledger = store.path.with_name("run.ledger")
    ledger.write_bytes(ledger.read_bytes()[:-30] + b"?" * 29 + b"\n")
    assert Ledger(ledger).last == 5
    ledger.write_bytes(b"?" * 1_000)
    store.path.unlink()
    with pytest.raises(StoreError, match="is gone"):
        Store(store.path)


def test_lines_that_a_power_cut_tore_are_written_anew(store: Store) -> None:
    asyncio.run(three_posts(store))
    store.close()
    ledger = store.path.with_name("run.ledger")
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:-2], bytes(len(lines[-2])), lines[-1]]))
    assert None in read(ledger)
    again = Store(store.path)
    again.begin_epoch()
    again.close()
    assert list(read(ledger)) == EVENTS


def test_the_ledger_reaches_the_disk_before_anybody_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = [], os.fdatasync

    def noting(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noting)
    asyncio.run(store.arm(intent(0), 2.0))
    assert synced == ["run.ledger"]
