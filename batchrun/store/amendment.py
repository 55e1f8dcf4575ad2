"""Rows whose request is another one than was sent, in a run that goes on. All of it within one transaction.

What was paid for stays on record: an attempt is superseded by the user's wish, a row that has left the input is set
aside, and neither is ever deleted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from batchrun.store.migrations import LIVE, PENDING
from batchrun.store.store import Store

#: Finds the first exchange of the row with this key that would be asked otherwise of `data`; None if all are the same.
Compare = Callable[[str, dict[str, Any]], int | None]

#: No row has as many exchanges: whatever it was answered stands.
NONE_OF_THEM = 1 << 30
_LIVE_FROM = f"row_id = ? AND exchange >= ? AND {LIVE}"
_PAGE = 256


@dataclass(frozen=True, slots=True)
class Anew:
    """A row to be asked anew from its exchange number `exchange` on. `columns` of its input were edited.

    `paid` is False where no attempt that stands was or may have been billed; `in_flight` if one is under way.
    """

    key: str
    source: str
    data: dict[str, Any]
    exchange: int = 0
    columns: tuple[str, ...] = ()
    paid: bool = True
    in_flight: bool = False


#: Told of every row that is asked anew.
Tell = Callable[[Anew], None]


def edited(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """The columns in which two inputs of a row differ."""
    return tuple(name for name in {**before, **after} if not _same(before, after, name))


def _same(before: dict[str, Any], after: dict[str, Any], name: str) -> bool:
    return name in before and name in after and before[name] == after[name]


def ask_anew(db: sqlite3.Connection, row_id: int, exchange: int, at: float) -> tuple[bool, bool]:
    """Make a row pending again, its attempts from an exchange on replaced at the user's wish.

    Returns whether it had attempts that were or may have been billed, and whether one of those replaced is under way.
    """
    paid = db.execute(f"SELECT EXISTS (SELECT 1 FROM attempt WHERE {_LIVE_FROM})", (row_id, 0)).fetchone()[0]
    under_way = f"SELECT EXISTS (SELECT 1 FROM attempt WHERE {_LIVE_FROM} AND state = 'submitted')"
    in_flight = db.execute(under_way, (row_id, exchange)).fetchone()[0]
    db.execute(
        f"UPDATE attempt SET superseded_at = ?, superseded_by = 'user' WHERE {_LIVE_FROM}", (at, row_id, exchange)
    )
    db.execute(f"{PENDING}, reopened_at = ? WHERE id = ?", (at, row_id))
    return bool(paid), bool(in_flight)


def review(store: Store, compare: Compare, seen: set[int], tell: Tell, at: float, stage: str = "") -> int:
    """Compare every row of a stage that was sent, but for those in `seen`, with what the job asks now. Returns how many
    differ.

    Rows that failed without being sent are made pending again: another request may well be one that can be sent.
    """
    db, found = store.connection, 0
    for row_id, key, source, data in _sent(db, stage):
        exchange = None if row_id in seen else compare(key, data)
        if exchange is not None:
            found += 1
            tell(Anew(key, source, data, exchange, (), *ask_anew(db, row_id, exchange, at)))
    db.execute(
        f"""{PENDING} WHERE outcome = 'failed' AND NOT rejected AND stage = ?
            AND NOT EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id)""",
        (stage,),
    )
    return found


def _sent(db: sqlite3.Connection, stage: str) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """Rows of the input that were sent, or about to be. In pages, because they are changed meanwhile."""
    query = """SELECT id, key, source, data FROM row WHERE seen != 0 AND data NOT NULL AND NOT rejected AND id > ?
               AND stage = ? AND outcome IS NOT 'skipped'
               AND EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id) ORDER BY id LIMIT ?"""
    after = 0
    while page := db.execute(query, (after, stage, _PAGE)).fetchall():
        after = page[-1][0]
        for row_id, key, source, data in page:
            yield row_id, key, source, json.loads(data)


def set_aside(db: sqlite3.Connection, this_pass: int) -> Iterator[tuple[str, str]]:
    """Take the rows that the last reading did not come by out of the run; yields key and source of those kept."""
    sent = "EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id)"
    db.execute(f"DELETE FROM row WHERE seen != ? AND NOT {sent}", (this_pass,))
    left = db.execute("SELECT key, source FROM row WHERE seen NOT IN (0, ?) ORDER BY position", (this_pass,)).fetchall()
    db.execute("UPDATE row SET seen = 0 WHERE seen != ?", (this_pass,))
    yield from left
