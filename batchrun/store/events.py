"""What a ledger is told, and what a checkpoint learns from it again. `ledger.py` says how events look."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from batchrun.store.ledger import Event
from batchrun.store.migrations import LIVE, PENDING
from batchrun.store.records import FREE, Intent

#: What of the checkpoint's meta values begins a ledger.
META = ("run_id", "job", "target", "key_column", "request", "request_parts")


def intended(attempt_id: int, intent: Intent, at: float) -> Event:
    """A POST is about to be made."""
    i = intent
    return ("intent", attempt_id, i.key, i.number, i.exchange, i.turn, i.request_sha, i.model, i.agent, at)


def identified(attempt_id: int, interaction_id: str, at: float) -> Event:
    """The service has named an attempt's interaction."""
    return "id", attempt_id, interaction_id, at


def cost_nothing(attempt_id: int) -> Event:
    """A POST was not sent, or refused."""
    return "free", attempt_id


def events_of(db: sqlite3.Connection) -> Iterator[Event]:
    """All that the checkpoint would have told."""
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    yield ("run", *(meta.get(name) for name in META))
    query = """SELECT a.id, r.key, number, exchange, turn, request_sha, model, agent, intent_at, state,
               interaction_id, submitted_at FROM attempt a JOIN row r ON r.id = a.row_id ORDER BY a.id"""
    for *intent, state, interaction_id, at in db.execute(query):
        yield ("intent", *intent)
        if interaction_id:
            yield identified(intent[0], interaction_id, at)
        elif state in FREE:
            yield cost_nothing(intent[0])


class Replay:
    """Brings a checkpoint that knows less up to date, event by event; what it knows already stays as it is.

    `name` gives the intent's name for a row's key, exchange and attempt number. `unknown` are the keys of rows that it
    does not have.
    """

    def __init__(self, db: sqlite3.Connection, at: float, name: Callable[[str, int, int], str]) -> None:
        self.unknown: list[str] = []
        self._db, self._at, self._name = db, at, name

    def apply(self, event: Event) -> None:
        """Apply one event. An attempt that it begins replaces those at its exchange and after it, as it did then."""
        match event:
            case ("intent", int(attempt_id), str(key), *fields):
                self._intend(attempt_id, key, fields)
            case ("id", int(attempt_id), str(interaction_id), at):
                self._db.execute(_IDENTIFIED, (interaction_id, at, attempt_id))
            case ("free", int(attempt_id)):
                self._db.execute(_FREED, (attempt_id,))

    def _intend(self, attempt_id: int, key: str, fields: list[object]) -> None:
        row = self._db.execute("SELECT id FROM row WHERE key = ?", (key,)).fetchone()
        if row is None:
            self.unknown.append(key)
            return
        known = self._db.execute(_INTENDED_AGAIN, (attempt_id,)).rowcount
        if known or self._db.execute("SELECT 1 FROM attempt WHERE id = ?", (attempt_id,)).fetchone():
            return
        number, exchange, *others = fields
        assert isinstance(number, int)
        assert isinstance(exchange, int)
        self._db.execute(_REPLACED, (self._at, row[0], exchange))
        name = self._name(key, exchange, number)
        self._db.execute(_INTENDED, (attempt_id, row[0], name, number, exchange, *others))
        self._db.execute(_REOPENED, row)


_INTENDED = """INSERT INTO attempt (id, row_id, intent_key, number, exchange, turn, request_sha, model, agent,
               intent_at, epoch, state, posts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'intent', 1)"""
_INTENDED_AGAIN = "UPDATE attempt SET state = 'intent' WHERE id = ? AND state IN ('not_sent', 'refused')"
_REPLACED = f"""UPDATE attempt SET superseded_at = ?, superseded_by = 'recover'
                WHERE row_id = ? AND exchange >= ? AND {LIVE}"""
_REOPENED = f"{PENDING} WHERE id = ? AND NOT rejected"
_IDENTIFIED = """UPDATE attempt SET state = 'submitted', interaction_id = ?, submitted_at = ?
                 WHERE id = ? AND state IN ('intent', 'ambiguous')"""
_FREED = "UPDATE attempt SET state = 'refused' WHERE id = ? AND state IN ('intent', 'ambiguous')"
