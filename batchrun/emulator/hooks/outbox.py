"""The messages that are to go out, each with the time at which it may. The clock decides; nothing runs by itself.

Messages are delivered at least once: one that is not answered with 2xx comes again, later each time, for 24 hours.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass
from typing import Any, NamedTuple

from batchrun.emulator.answers import dump
from batchrun.emulator.draws import digest
from batchrun.emulator.views import timestamp

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, about TEXT NOT NULL, hook TEXT NOT NULL, uri TEXT NOT NULL, kind TEXT NOT NULL,
    metadata TEXT NOT NULL, happens REAL NOT NULL, next REAL NOT NULL, tries INTEGER NOT NULL, state TEXT NOT NULL
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS messages_next ON messages (state, next)"
_WAITING = "SELECT * FROM messages WHERE state = 'waiting'"
_FIRST_WAIT, _LONGEST_WAIT, _GIVE_UP = 5.0, 3600.0, 86_400.0


class Message(NamedTuple):
    """`about` is an interaction, `hook` a static webhook or empty, `happens` when the event is, in Unix seconds."""

    id: str
    about: str
    hook: str
    uri: str
    kind: str
    metadata: str
    happens: float
    next: float
    tries: int
    state: str

    def body(self) -> bytes:
        """The thin body: what happened to what; the receiver gets the rest by a GET."""
        data = f'{{"id":{dump(self.about).decode()}{f",{_named(self.metadata)}" if self.metadata else ""}}}'
        head = {"type": self.kind, "version": "v1", "timestamp": timestamp(self.happens)}
        return dump(head)[:-1] + f',"data":{data}}}'.encode()


def _named(metadata: str) -> str:
    return f'"user_metadata":{metadata}'


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told to one address."""

    about: str
    hook: str
    uri: str
    kind: str
    happens: float
    metadata: Any = None


class Outbox:
    """The messages of one emulator."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._execute(_SCHEMA)
        self._execute(_INDEX)

    def put(self, event: Event) -> None:
        name = f"msg_{digest('message', event.about, event.hook, event.uri, event.kind, event.happens).hex()[:24]}"
        metadata = "" if event.metadata is None else dump(event.metadata, ascii_only=True).decode()
        row = (name, event.about, event.hook, event.uri, event.kind, metadata, event.happens, event.happens)
        if math.isfinite(event.happens):
            self._execute("INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 'waiting')", row)

    def due(self, now: float, most: int = 100) -> list[Message]:
        rows = self._execute(f"{_WAITING} AND next <= ? ORDER BY next LIMIT ?", (now, most)).fetchall()
        return [Message(*row) for row in rows]

    def waiting_for(self, about: str) -> list[Message]:
        return [Message(*row) for row in self._execute(f"{_WAITING} AND about = ?", (about,)).fetchall()]

    def drop(self, message: Message) -> None:
        self._execute("DELETE FROM messages WHERE id = ?", (message.id,))

    def settle(self, message: Message, state: str) -> None:
        self._execute("UPDATE messages SET state = ?, tries = tries + 1 WHERE id = ?", (state, message.id))

    def try_again(self, message: Message, now: float) -> bool:
        """Put a message off. False if it was tried long enough and is given up."""
        wait = min(_FIRST_WAIT * 2.0**message.tries, _LONGEST_WAIT)
        if now + wait > message.happens + _GIVE_UP:
            self.settle(message, "given up")
            return False
        self._execute("UPDATE messages SET tries = tries + 1, next = ? WHERE id = ?", (now + wait, message.id))
        return True
