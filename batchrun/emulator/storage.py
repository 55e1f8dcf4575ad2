"""Interactions in SQLite, so that memory does not grow with their number and a restart forgets nothing.

An interaction is written once, when it is created, with its finished answer and the time at which it is ready. What a
client sees is a function of that row and of the clock; nothing runs in the background.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from batchrun.errors import SpecError

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS interactions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, queued_until REAL NOT NULL, ready_at REAL NOT NULL,
    visible_at REAL NOT NULL, cancelled_at REAL, background INTEGER NOT NULL, stored INTEGER NOT NULL,
    context_tokens INTEGER NOT NULL, history BLOB NOT NULL, head BLOB NOT NULL, tail BLOB NOT NULL,
    request BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS bodies (sha256 BLOB PRIMARY KEY, arrivals INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS polls (id TEXT PRIMARY KEY, arrivals INTEGER NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = (
    "id, created, queued_until, ready_at, visible_at, cancelled_at, background, stored, context_tokens, history, "
    "head, tail"
)
_FIND = f"SELECT {_COLUMNS} FROM interactions WHERE id = ?"
_KEEP = f"INSERT INTO interactions ({_COLUMNS}, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#: So many at once, the oldest first, that no create waits long for it.
_PURGE = """
DELETE FROM interactions
WHERE rowid IN (SELECT rowid FROM interactions ORDER BY rowid LIMIT 1000)
AND created <= ? AND (ready_at <= ? OR cancelled_at IS NOT NULL) RETURNING id
"""
_SEEN = "INSERT INTO {table} VALUES (?, 1) ON CONFLICT DO UPDATE SET arrivals = arrivals + 1 RETURNING arrivals"
_SEEN_BODY = _SEEN.format(table="bodies")
_SEEN_POLL = _SEEN.format(table="polls")


class Kept(NamedTuple):
    """A stored interaction. `head` and `tail` are the two halves of its finished JSON; times are Unix seconds."""

    id: str
    created: float
    queued_until: float
    ready_at: float
    visible_at: float
    cancelled_at: float | None
    background: int
    stored: int
    context_tokens: int
    history: bytes
    head: bytes
    tail: bytes

    def running(self, now: float) -> bool:
        return self.cancelled_at is None and now < self.ready_at


class Store:
    """The interactions of one emulator, in the file at `path` or in a private file that vanishes with the process."""

    def __init__(self, path: Path | None) -> None:
        # With an empty name SQLite makes a file of its own that spills from a bounded cache and is unlinked at once.
        name = "" if path is None else str(path)
        try:
            self._connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
            self._prepare(persistent=path is not None)
        except sqlite3.Error as error:
            raise SpecError(f"cannot use {name!r} as the emulator's state ({error}); choose another file") from error
        self._execute = self._connection.execute

    def _prepare(self, *, persistent: bool) -> None:
        connection = self._connection
        connection.execute(f"PRAGMA journal_mode = {'WAL' if persistent else 'OFF'}")
        connection.execute("PRAGMA synchronous = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"written by another version: {version}, not {_VERSION}")
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_VERSION}")

    @property
    def connection(self) -> sqlite3.Connection:
        """For the tables of the neighbouring resources, which live in the same file."""
        return self._connection

    def seen(self, sha256: bytes) -> int:
        """Count the arrival of a request body; 1 for the first."""
        return int(self._execute(_SEEN_BODY, (sha256,)).fetchone()[0])

    def polled(self, interaction_id: str) -> int:
        """Count a GET of one interaction; only needed where a fault plan asks for it."""
        return int(self._execute(_SEEN_POLL, (interaction_id,)).fetchone()[0])

    def keep(self, kept: Kept, request: bytes) -> None:
        self._execute(_KEEP, (*kept, request))

    def find(self, interaction_id: str) -> Kept | None:
        row = self._execute(_FIND, (interaction_id,)).fetchone()
        return Kept(*row) if row else None

    def request(self, interaction_id: str) -> bytes:
        """The body that created an interaction, as it came."""
        row = self._execute("SELECT request FROM interactions WHERE id = ?", (interaction_id,)).fetchone()
        return bytes(row[0]) if row else b""

    def finish(self, interaction_id: str, ready_at: float, tail: bytes, context_tokens: int) -> None:
        """The end of an interaction that had none yet."""
        change = "UPDATE interactions SET ready_at = ?, tail = ?, context_tokens = ? WHERE id = ?"
        self._execute(change, (ready_at, tail, context_tokens, interaction_id))

    def cancel(self, interaction_id: str, now: float) -> None:
        self._execute("UPDATE interactions SET cancelled_at = ? WHERE id = ?", (now, interaction_id))

    def delete(self, interaction_id: str) -> None:
        self._execute("DELETE FROM interactions WHERE id = ?", (interaction_id,))

    def purge(self, until: float, now: float) -> list[str]:
        """Delete those of the oldest interactions that were created `until` then and are over; their ids."""
        oldest = self._execute("SELECT created FROM interactions ORDER BY rowid LIMIT 1").fetchone()
        if oldest is None or oldest[0] > until:
            return []
        names = [name for (name,) in self._execute(_PURGE, (until, now)).fetchall()]
        polls = [(f"{on} {name}",) for name in names for on in ("get", "cancel", "delete")]
        self._connection.executemany("DELETE FROM polls WHERE id = ?", polls)
        return names

    def close(self) -> None:
        self._connection.close()
