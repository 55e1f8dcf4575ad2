"""JSON documents of one kind by name, in the emulator's database, in the order in which they were made."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from batchrun.emulator.answers import dump

Document = dict[str, Any]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, document BLOB NOT NULL,
    UNIQUE (kind, name)
)
"""
_PUT = """
INSERT INTO resources (kind, name, document) VALUES (?, ?, ?)
ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document
"""
_PAGE = "SELECT number, document FROM resources WHERE kind = ? AND number > ? ORDER BY number LIMIT ?"


class Table:
    """The documents of one kind."""

    def __init__(self, connection: sqlite3.Connection, kind: str) -> None:
        connection.execute(_SCHEMA)
        self._execute = connection.execute
        self._kind = kind

    def put(self, name: str, document: Document) -> None:
        self._execute(_PUT, (self._kind, name, dump(document, ascii_only=True)))

    def get(self, name: str) -> Document | None:
        query = "SELECT document FROM resources WHERE kind = ? AND name = ?"
        row = self._execute(query, (self._kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, name: str) -> None:
        self._execute("DELETE FROM resources WHERE kind = ? AND name = ?", (self._kind, name))

    def count(self) -> int:
        return int(self._execute("SELECT count(*) FROM resources WHERE kind = ?", (self._kind,)).fetchone()[0])

    def all(self) -> list[Document]:
        return self.page(-1, 0)[0]

    def page(self, size: int, after: int) -> tuple[list[Document], int | None]:
        """`size` documents that come after position `after`, and where the next page goes on. -1 is no limit."""
        rows = self._execute(_PAGE, (self._kind, after, size + 1 if size >= 0 else -1)).fetchall()
        more = 0 <= size < len(rows)
        shown = rows[:size] if more else rows
        return [json.loads(row[1]) for row in shown], shown[-1][0] if more and shown else None
