"""Requests of the running day by model, in the emulator's database: a restart does not begin a new day."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

_SCHEMA = "CREATE TABLE IF NOT EXISTS days (model TEXT PRIMARY KEY, ends REAL NOT NULL, requests INTEGER NOT NULL)"


class Day(NamedTuple):
    """`ends` is Unix seconds, `requests` how many were accepted until now."""

    ends: float
    requests: int


class DayBook:
    """The days of one emulator. It is asked and written only where requests a day are limited."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute(_SCHEMA)
        self._execute = connection.execute

    def read(self, model: str) -> Day:
        """The last day that was written; one that is over where there is none."""
        row = self._execute("SELECT ends, requests FROM days WHERE model = ?", (model,)).fetchone()
        return Day(*row) if row else Day(0.0, 0)

    def write(self, model: str, day: Day) -> None:
        self._execute("INSERT OR REPLACE INTO days VALUES (?, ?, ?)", (model, *day))
