"""What a ledger is told: the run, each intent, each id, each POST that cost nothing. `ledger.py` says how it looks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from batchrun.store.ledger import Event
from batchrun.store.records import Intent

_META = ("run_id", "job", "target", "key_column", "request", "request_parts")
_FREE = ("not_sent", "refused")


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
    yield ("run", *(meta.get(name) for name in _META))
    query = """SELECT a.id, r.key, number, exchange, turn, request_sha, model, agent, intent_at, state,
               interaction_id, submitted_at FROM attempt a JOIN row r ON r.id = a.row_id ORDER BY a.id"""
    for *intent, state, interaction_id, at in db.execute(query):
        yield ("intent", *intent)
        if interaction_id:
            yield identified(intent[0], interaction_id, at)
        elif state in _FREE:
            yield cost_nothing(intent[0])
