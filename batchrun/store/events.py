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
    return ("intent", attempt_id, i.key, i.number, i.exchange, i.turn, i.request_sha, i.model, i.agent, at, i.input_sha)


def identified(attempt_id: int, interaction_id: str, at: float) -> Event:
    """The service has named an attempt's interaction."""
    return "id", attempt_id, interaction_id, at


def cost_nothing(attempt_id: int) -> Event:
    """A POST was not sent, or refused."""
    return "free", attempt_id


def begun(db: sqlite3.Connection) -> Event:
    """What begins a ledger: the run, and what it asks."""
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    return ("run", *(meta.get(name) for name in META))


def events_of(db: sqlite3.Connection) -> Iterator[Event]:
    """All that the checkpoint would have told. What the input of a replaced attempt was, it does not know any more."""
    yield begun(db)
    query = """SELECT a.id, r.key, number, exchange, turn, request_sha, model, agent, intent_at,
               iif(superseded_at IS NULL, input_sha, ''), state, interaction_id, submitted_at
               FROM attempt a JOIN row r ON r.id = a.row_id ORDER BY a.id"""
    for *intent, state, interaction_id, at in db.execute(query):
        yield ("intent", *intent)
        if interaction_id:
            yield identified(intent[0], interaction_id, at)
        elif state in FREE:
            yield cost_nothing(intent[0])


class Replay:
    """Brings a checkpoint that knows less up to date, event by event; what it knows already stays as it is.

    `name` gives the intent's name for a row's key, exchange and attempt number. `unknown` are the keys of rows that it
    did not have: they are set aside, as those that have left the input, and are known if they come back.
    """

    def __init__(self, db: sqlite3.Connection, at: float, name: Callable[[str, int, int], str]) -> None:
        self.unknown: list[str] = []
        self._inputs: dict[str, str] = {}
        self._db, self._at, self._name = db, at, name

    def apply(self, event: Event) -> None:
        """Apply one event. An attempt that it begins replaces those at its exchange and after it, as it did then."""
        match event:
            case ("intent", int(attempt_id), str(key), *fields, str(input_sha)):
                self._intend(attempt_id, key, fields)
                self._inputs[key] = input_sha
            case ("id", int(attempt_id), str(interaction_id), at):
                self._db.execute(_IDENTIFIED, (interaction_id, at, attempt_id))
            case ("free", int(attempt_id)):
                self._db.execute(_FREED, (attempt_id,))

    def leave_doubtful(self) -> None:
        """What the ledger knows no end of is in doubt, though no process need have died for it."""
        self._db.execute(_DOUBTFUL)

    def leave_edited(self) -> list[str]:
        """Take the input from pending rows that were last sent with another one, or nobody knows which.

        The next run reads it as an edited one, and compares what it asks with what was asked. Returns their keys.
        """
        return [
            key for key, sha in self._inputs.items() if self._db.execute(_LEFT_EDITED, (sha, key, sha)).rowcount == 1
        ]

    def _intend(self, attempt_id: int, key: str, fields: list[object]) -> None:
        row = self._db.execute(_KNOWN, (key,)).fetchone() or self._set_aside(key)
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

    def _set_aside(self, key: str) -> tuple[int]:
        self.unknown.append(key)
        row: tuple[int] = self._db.execute(_SET_ASIDE, (key,)).fetchone()
        return row


_KNOWN = "SELECT id FROM row WHERE key = ?"
_SET_ASIDE = """INSERT INTO row (key, position, source, input_sha, rejected, seen)
                VALUES (?, -1, 'run.ledger', '', 0, 0) RETURNING id"""
_INTENDED = """INSERT INTO attempt (id, row_id, intent_key, number, exchange, turn, request_sha, model, agent,
               intent_at, epoch, state, posts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'intent', 1)"""
_INTENDED_AGAIN = "UPDATE attempt SET state = 'intent' WHERE id = ? AND state IN ('not_sent', 'refused')"
#: One without an id was sent again in doubt: that counts as the policy's doing, and against its allowance.
_REPLACED = f"""UPDATE attempt SET superseded_at = ?, superseded_by = iif(state = 'intent', 'policy', 'recover'),
                state = iif(state = 'intent', 'ambiguous', state)
                WHERE row_id = ? AND exchange >= ? AND {LIVE}"""
_DOUBTFUL = """UPDATE attempt SET state = 'ambiguous', error_class = 'ambiguous', evidence = 'its id is not known'
               WHERE state = 'intent'"""
_REOPENED = f"{PENDING} WHERE id = ? AND NOT rejected"
_LEFT_EDITED = """UPDATE row SET input_sha = ?, data = NULL, rejected = 0, outcome = NULL, error_class = NULL,
                  error_message = NULL, finished_at = NULL
                  WHERE key = ? AND input_sha != ? AND (outcome IS NULL OR rejected) AND seen != 0"""
_IDENTIFIED = """UPDATE attempt SET state = 'submitted', interaction_id = ?, submitted_at = ?
                 WHERE id = ? AND state IN ('intent', 'ambiguous')"""
_FREED = "UPDATE attempt SET state = 'refused' WHERE id = ? AND state IN ('intent', 'ambiguous')"
