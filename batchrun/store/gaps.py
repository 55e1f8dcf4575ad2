"""What a ledger does not tell of the checkpoint beside it. Reads both; nothing here raises for bad data."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from batchrun.errors import StoreError
from batchrun.store.audit import Difference, stored_ids
from batchrun.store.ledger import Ledger, read
from batchrun.store.records import FREE

_LAW = "ledger"
_AGAIN = ": `batchrun recover` makes the ledger anew from a whole checkpoint"
_Line = tuple[str, int, str]


def ledger_gaps(db: sqlite3.Connection, path: Path) -> Iterator[Difference]:
    """Lines of the ledger at `path` that are damaged, and those that it lacks.

    A process that dies after its commit leaves the last events untold, until another goes on. They are no gaps.
    """
    told = set[_Line]()
    try:
        yield from _damaged(path, told)
        last = Ledger(path).last
    except (OSError, StoreError):
        last = 0
    if not last:
        yield from _unread(db, path)
        return
    (known,) = db.execute("SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = 'ledger'").fetchone()
    if last > known:
        yield Difference(_LAW, "run.db", f"knows less than {path.name}: `batchrun recover` brings it up to date")
    gaps = list(_lacking(db, told))
    yield from gaps if len(gaps) > known - last else ()


def _damaged(path: Path, told: set[_Line]) -> Iterator[Difference]:
    """Damaged lines; of the others, what they tell of attempts goes into `told`. Raises OSError."""
    for number, event in enumerate(read(path), 1):
        match event:
            case None:
                yield Difference(_LAW, f"{path.name}, line {number}", f"is damaged{_AGAIN}")
            case ("intent" | "id" as kind, int(attempt_id), str(name), *_):
                told.add((kind, attempt_id, name))


def _unread(db: sqlite3.Connection, path: Path) -> Iterator[Difference]:
    if next(stored_ids(db), None) is not None:
        yield Difference(_LAW, path.name, f"is gone or cannot be read{_AGAIN}")


def _lacking(db: sqlite3.Connection, told: set[_Line]) -> Iterator[Difference]:
    for name, attempt_id, key, state, interaction_id in stored_ids(db):
        if state not in FREE and ("intent", attempt_id, key) not in told:
            yield Difference(_LAW, name, "its intent is not in the ledger")
        if interaction_id and ("id", attempt_id, interaction_id) not in told:
            yield Difference(_LAW, name, f"its id {interaction_id} is not in the ledger")
