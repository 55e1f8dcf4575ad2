"""What other processes wish of a run: a small database beside the checkpoint, to which the run alone writes.

A process may die over it at any moment. The worst that can be lost is a wish; the checkpoint, its ledger and its seal
know nothing of it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from batchrun.errors import StoreError

_VERSION = 1
#: What is asked and answered takes a few milliseconds; a disk in trouble takes longer.
_BUSY_SECONDS = 5.0
#: The last moment that a date has a name for, in Unix seconds.
_LAST_TIME = 253_402_300_800.0
_WISHES = """CREATE TABLE IF NOT EXISTS wish (
    id INTEGER PRIMARY KEY, verb TEXT NOT NULL, settings TEXT NOT NULL, said_at REAL NOT NULL, said_by TEXT NOT NULL,
    said_to TEXT, answered_at REAL, done INTEGER, answer TEXT)"""
_OPEN = "CREATE INDEX IF NOT EXISTS wish_open ON wish (id) WHERE answered_at IS NULL"
_SAY = "INSERT INTO wish (verb, settings, said_at, said_by, said_to) VALUES (?, ?, ?, ?, ?)"
_UNANSWERED = """SELECT id, verb, settings, said_at, said_by FROM wish
                 WHERE answered_at IS NULL AND (said_to IS NULL OR said_to = ?) ORDER BY id LIMIT 100"""
_ANSWER = "UPDATE wish SET answered_at = ?, done = ?, answer = ? WHERE id = ? AND answered_at IS NULL"
_ANSWERED = "SELECT done, answer FROM wish WHERE id = ? AND answered_at NOT NULL"
_FORGET = "UPDATE wish SET answered_at = ?, answer = ? WHERE answered_at IS NULL AND said_to NOT NULL"
_PAUSE = """SELECT said_at, said_by FROM wish WHERE verb = 'pause' AND id >
            (SELECT coalesce(max(id), 0) FROM wish WHERE verb = 'resume') ORDER BY id LIMIT 1"""
_SET = """SELECT settings FROM wish WHERE verb = 'set' AND done = 1 AND said_to = ? AND answered_at >= ? ORDER BY id"""
_LEAVES = "SELECT 1 FROM wish WHERE verb IN (?, ?) AND done = 1 AND said_to = ? AND answered_at >= ?"


class Verb(StrEnum):
    """What can be wished of a run."""

    PAUSE = "pause"
    RESUME = "resume"
    SET = "set"
    DRAIN = "drain"
    DETACH = "detach"


@dataclass(frozen=True, slots=True)
class Wish:
    """One wish: `settings` are limits by their names in the job file, for `set`. Times are Unix seconds."""

    id: int
    verb: str
    settings: Mapping[str, Any]
    said_at: float
    said_by: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a wish, in words for people. `done` is None if no run has heard it."""

    done: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that holds: since when, in Unix seconds, and who said so first."""

    since: float
    by: str


class Control:
    """The wishes for the run in a directory. Every method opens and closes the file, and may wait for another process.

    They raise StoreError where it cannot be read or written. With `traceless` reading changes nothing at all, and fails
    where a killed process has left something half written.
    """

    def __init__(self, run_dir: Path, *, traceless: bool = False) -> None:
        self.path = run_dir / "control.db"
        self._traceless = traceless

    @property
    def exists(self) -> bool:
        """Whether anything was ever wished here."""
        return self.path.exists()

    def say(self, verb: Verb, settings: Mapping[str, Any], at: float, by: str, to: str | None) -> int:
        """Note a wish durably, and return its number. `to` is the process that it is said to, None for any."""
        with self._written() as db:
            return db.execute(_SAY, (str(verb), json.dumps(settings), at, by, to)).lastrowid or 0

    def unanswered(self, me: str) -> list[Wish]:
        """The first wishes that the process `me` has to answer: so few that a run may wait for them at its end."""
        with self._read() as db:
            found = db.execute(_UNANSWERED, (me,)).fetchall() if db else []
            return [Wish(number, verb, _settings(said), float(at), str(by)) for number, verb, said, at, by in found]

    def answer(self, number: int, answer: Answer, at: float) -> bool:
        """Answer a wish. False if that was done already."""
        with self._written() as db:
            return db.execute(_ANSWER, (at, answer.done, answer.text, number)).rowcount == 1

    def answered(self, number: int) -> Answer | None:
        """What came of a wish; None so far."""
        with self._read() as db:
            found = db.execute(_ANSWERED, (number,)).fetchone() if db else None
        return None if found is None else Answer(None if found[0] is None else bool(found[0]), str(found[1]))

    def forget_unheard(self, why: str, at: float) -> None:
        """Nobody will do what was said to a process: that is the answer. A pause is said to whoever runs."""
        if self.exists:
            with self._written() as db:
                db.execute(_FORGET, (at, why))

    def pause(self) -> Pause | None:
        """The pause that holds."""
        with self._read() as db:
            found = db.execute(_PAUSE).fetchone() if db else None
            return None if found is None else Pause(_time(found[0]), str(found[1]))

    def settings(self, to: str, since: float) -> dict[str, Any]:
        """The limits that a process was told to keep from then on (Unix seconds), and does."""
        with self._read() as db:
            said = db.execute(_SET, (to, since)).fetchall() if db else []
            return {name: value for (settings,) in said for name, value in _settings(settings).items()}

    def leaves(self, who: str, since: float) -> bool:
        """Whether a process was told from then on (Unix seconds) to drain or to detach, and does."""
        with self._read() as db:
            return db is not None and db.execute(_LEAVES, (Verb.DRAIN, Verb.DETACH, who, since)).fetchone() is not None

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection | None]:
        """Gives None where nothing was ever wished."""
        if not self.exists:
            yield None
            return
        with self._explained(), closing(self._connected(f"{self.path.resolve().as_uri()}?mode={self._mode}")) as db:
            yield db if self._version(db) else None

    @property
    def _mode(self) -> str:
        """Who reads may have to undo what a killed process has half written."""
        writable = all(os.access(path, os.W_OK) for path in (self.path, self.path.parent))
        return "rw" if writable and not self._traceless else "ro"

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            with closing(self._connected(f"{self.path.resolve().as_uri()}?mode=rw")) as db:
                db.execute("BEGIN IMMEDIATE")
                if not self._version(db):
                    for statement in (_WISHES, _OPEN, f"PRAGMA user_version = {_VERSION}"):
                        db.execute(statement)
                yield db
                db.execute("COMMIT")

    def _connected(self, address: str) -> sqlite3.Connection:
        if not self.path.is_file():  # a pipe would never answer
            raise OSError("it is not a regular file")
        db = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        db.execute("PRAGMA trusted_schema = OFF")
        return db

    def _version(self, db: sqlite3.Connection) -> int:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StoreError(f"{self.path}: written by a newer batchrun; upgrade to say anything to this run.")
        if db.execute("SELECT 1 FROM sqlite_schema WHERE type IN ('view', 'trigger')").fetchone():
            raise ValueError("no batchrun wrote it")  # what they compute may have no end
        return version

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise StoreError(
                f"{self.path}: cannot be used: {error}. It holds only what was said to the run (pause, set, …), so it "
                "may be removed if it is damaged; then say again what still holds."
            ) from error


def _time(said: Any) -> float:
    """Unix seconds. Raises ValueError, TypeError for what no clock shows."""
    at = float(said)
    if not 0 <= at < _LAST_TIME:
        raise ValueError(f"a time that no clock shows: {said!r}")
    return at


def _settings(said: str) -> Mapping[str, Any]:
    """What cannot be read is no setting."""
    try:
        found = json.loads(said)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
