"""POSTs of unknown fate, and what the user says has become of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchrun.rows import Finish
from batchrun.store.migrations import LIVE, PENDING
from batchrun.store.reader import Reader
from batchrun.store.store import Store

_OF_POSTS = """SELECT attempt.id, row.id, key, intent_key, intent_at, model, evidence, coalesce(tokens, 0), outcome
    FROM attempt JOIN row ON row.id = row_id WHERE"""
_DOUBTFUL = f"""{_OF_POSTS} {LIVE} AND state IN ('intent', 'ambiguous')
    AND (outcome IS NULL OR outcome = 'ambiguous')"""
_SENT_AGAIN = f"{_OF_POSTS} state = 'ambiguous' AND superseded_by NOT NULL"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A POST of which nobody can tell whether it was billed.

    `intent_key` is the value of its label; `intent_at` is Unix time; `tokens` is about what it reads. Where its row has
    not been sent again, it is `held` if the row has ended for its sake, else the next run decides by the job's policy.
    """

    attempt_id: int
    row_id: int
    key: str
    intent_key: str
    intent_at: float
    model: str | None
    evidence: str | None
    tokens: int
    held: bool


def sent_again(reader: Reader) -> Iterator[Doubt]:
    """Those whose rows were sent again, perhaps billed twice, in input order."""
    return _read(reader, _SENT_AGAIN, ())


def doubts(reader: Reader, key: str | None = None) -> Iterator[Doubt]:
    """Those whose rows were not sent again (of the row with this key), in input order."""
    return _read(reader, *((_DOUBTFUL, ()) if key is None else (f"{_DOUBTFUL} AND key = ?", (key,))))


def _read(reader: Reader, query: str, values: tuple[str, ...]) -> Iterator[Doubt]:
    for found in reader.connection.execute(f"{query} ORDER BY position", values):
        fields: list[Any] = [*found[:-1], found[-1] is not None]
        yield Doubt(*fields)


def owner(reader: Reader, *, interaction_id: str = "", intent_key: str = "") -> str | None:
    """The key of the row that an interaction or a label belongs to, None if it is none of this run's."""
    query = "SELECT key FROM attempt JOIN row ON row.id = row_id WHERE interaction_id = ? OR intent_key = ?"
    found = reader.connection.execute(query, (interaction_id or None, intent_key)).fetchone()
    return found[0] if found else None


async def found(store: Store, doubt: Doubt, interaction_id: str) -> None:
    """Its interaction is known: its row is pending, and is polled by the next run. Both or neither."""

    def pending(db: sqlite3.Connection) -> None:
        db.execute(f"{PENDING} WHERE id = ?", (doubt.row_id,))

    # Asked for in one step of the loop, so committed in one group.
    await asyncio.gather(store.submitted(doubt.attempt_id, interaction_id, doubt.intent_at), store.write(pending))


def give_up(store: Store, doubt: Doubt, end: Finish, at: float) -> None:
    """End its row. The POST stays one of unknown fate."""
    store.end(doubt.row_id, end, at)


def send_again(store: Store, doubt: Doubt, at: float) -> None:
    """Allow another POST for its row, as the user wishes: perhaps billed twice."""
    with store.db.atomic():
        store.connection.execute(
            "UPDATE attempt SET superseded_at = ?, superseded_by = 'user' WHERE id = ?", (at, doubt.attempt_id)
        )
        store.connection.execute(f"{PENDING}, reopened_at = ? WHERE id = ?", (at, doubt.row_id))
