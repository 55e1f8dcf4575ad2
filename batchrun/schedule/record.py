"""What became of each slot of a job, and the contents that slots have taken: a SQLite file beside their runs.

Each decision is one transaction, so that of two processes at once only one begins a slot, and a killed one loses none.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from batchrun.errors import StoreError
from batchrun.rows import InputFile
from batchrun.schedule.migrations import migrations
from batchrun.schedule.slots import Slot
from batchrun.schedule.verdicts import OPEN, RUNNING, State, Verdict

FILE_NAME = "schedule.db"
_COLUMNS = "name, state, why, decided_at, begun_at, over_at"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a slot. Times are Unix seconds; `begun_at` is when its run was first begun."""

    name: str
    state: State
    why: str
    decided_at: float
    begun_at: float | None
    over_at: float | None


#: From the time up to which slots are decided (None for a job not seen before) and the names of those that still run,
#: that time from now on, and what becomes of those that have begun.
Decide = Callable[[datetime | None, Sequence[str]], tuple[datetime, Sequence[Verdict]]]


class Record:
    """The record in `directory`, which has to exist. Raises StoreError where it cannot be used, or where another
    process has it for more than `patience` seconds."""

    def __init__(self, directory: Path, patience: float = 30.0) -> None:
        self.path = directory / FILE_NAME
        with self._explained():
            _make(self.path)
            self._db = sqlite3.connect(self.path, timeout=patience, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    @classmethod
    def found_in(cls, directory: Path, patience: float = 30.0) -> Record | None:
        """The record in a directory, None where there is none. Raises StoreError."""
        return cls(directory, patience) if (directory / FILE_NAME).is_file() else None

    def _prepare(self) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA trusted_schema = OFF")
        db = Database(self._db, execute_plugins=False)
        ours = {migration.name for migration in migrations._migrations}
        if newer := {migration.name for migration in migrations.applied(db)} - ours:
            raise StoreError(
                f"{self.path}: written by a newer batchrun ({', '.join(sorted(newer))}); upgrade to go on."
            )
        if migrations.pending(db):
            with self._transaction():
                migrations.apply(db)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- slots ---------------------------------------------------------------------------------------------------------

    def look(self, now: float, decide: Decide, *, replace: bool = False) -> list[Verdict]:
        """Write down what becomes of the slots that have begun since the last look, and return that.

        With `replace` a slot that is queued puts those that still run out of the way.
        """
        with self._transaction():
            seen = self._meta("decided_to")
            running = [entry.name for entry in self._open(RUNNING)]
            until, found = decide(None if seen is None else _moment(seen), running)
            new = [each for each in found if self._enter(each, now)]
            queued = [each.slot.name for each in new if each.state is State.QUEUED]
            if queued and replace:
                self._replace([*running, *queued[:-1]], queued[-1], now)
            if queued:
                self._give_up(now, queued[-1])
            self._set_meta("decided_to", until.astimezone(UTC).isoformat())
        return new

    def _enter(self, verdict: Verdict, now: float) -> bool:
        """False for a slot that has been begun by hand before its time was looked at. What was decided later than now,
        by a clock that was wrong, and has not begun is decided anew."""
        over = None if verdict.state is State.QUEUED else now
        query = """INSERT INTO slot VALUES (?, ?, ?, ?, NULL, ?, NULL) ON CONFLICT (name) DO UPDATE
            SET state = excluded.state, why = excluded.why, decided_at = excluded.decided_at, over_at = excluded.over_at
            WHERE begun_at IS NULL AND slot.decided_at > excluded.decided_at"""
        return self._db.execute(query, (verdict.slot.name, verdict.state, verdict.why, now, over)).rowcount > 0

    def _replace(self, names: Iterable[str], by: str, now: float) -> None:
        query = """UPDATE slot SET state = ?, why = ?, over_at = iif(begun_at IS NULL, ?, NULL) WHERE name = ?"""
        self._db.executemany(query, [(State.REPLACED, f"{by} has taken its place", now, name) for name in names])

    def _give_up(self, now: float, by: str) -> None:
        query = """UPDATE slot SET state = ?, why = 'not mended when ' || ? || ' came: ' || why, over_at = ?
            WHERE over_at IS NULL AND state = ?"""
        self._db.execute(query, (State.GIVEN_UP, by, now, State.BLOCKED))

    def begin(self, name: str, now: float) -> Entry:
        """Begin a slot, or go on with it, whatever was decided before: the user's wish."""
        with self._transaction():
            query = """INSERT INTO slot VALUES (?, 'begun', '', ?, ?, NULL, NULL) ON CONFLICT (name) DO UPDATE
                SET state = 'begun', begun_at = coalesce(begun_at, excluded.begun_at), over_at = NULL"""
            self._db.execute(query, (name, now, now))
            return self._entry(name)

    def forget(self, name: str) -> None:
        """A slot that was begun in vain is as if it never was, unless it has taken files."""
        with self._transaction():
            if self._took(name) is None:
                self._db.execute("DELETE FROM output WHERE slot = ?", (name,))
                self._db.execute("DELETE FROM slot WHERE name = ?", (name,))

    def begin_next(self, now: float) -> Entry | None:
        """Begin the oldest slot that is queued, unless one still runs or none is.

        One whose time is still to come was queued by a clock that was wrong; it waits for its time.
        """
        latest = Slot(datetime.fromtimestamp(now, UTC)).name
        with self._transaction():
            running = [entry for entry in self._open(RUNNING) if entry.state is State.BEGUN or entry.name <= latest]
            if not running or any(entry.state is State.BEGUN for entry in running):
                return None
            query = "UPDATE slot SET state = 'begun', begun_at = coalesce(begun_at, ?) WHERE name = ?"
            self._db.execute(query, (now, running[0].name))
            return self._entry(running[0].name)

    def settle(self, name: str, state: State, why: str, now: float, *, over: bool) -> None:
        """Write down how a slot stands after its run went on. One that was replaced meanwhile stays that."""
        with self._transaction():
            query = """UPDATE slot SET state = iif(state = 'replaced', state, ?), why = iif(state = 'replaced', why, ?),
                over_at = ? WHERE name = ?"""
            self._db.execute(query, (state, why, now if over else None, name))

    def reopen(self, name: str) -> None:
        """There is more to be done for a slot that was over: rows of it are pending again."""
        with self._transaction():
            query = "UPDATE slot SET state = 'begun', why = '', over_at = NULL WHERE name = ? AND begun_at NOT NULL"
            self._db.execute(query, (name,))

    def writes_to(self, name: str, directory: str) -> str:
        """The slot whose output files are in a directory: this one, unless another came first."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO output VALUES (?, ?)", (directory, name))
            (owner,) = self._db.execute("SELECT slot FROM output WHERE directory = ?", (directory,)).fetchone()
        return str(owner)

    def open(self) -> list[Entry]:
        """The slots that have been begun and of which something is left to be done, oldest first."""
        return [entry for entry in self.unfinished() if entry.begun_at is not None]

    def unfinished(self) -> list[Entry]:
        """The same, and those that wait for their turn."""
        with self._explained():
            return self._open((*OPEN, State.REPLACED))

    def not_run(self) -> list[Entry]:
        """The slots that never were, or will be, run to their end, and that nobody was told of, oldest first."""
        query = f"""SELECT {_COLUMNS} FROM slot WHERE over_at NOT NULL AND name NOT IN (SELECT name FROM told)
            AND (state IN ('skipped', 'passed_over', 'given_up') OR (state = 'replaced' AND begun_at IS NULL))
            ORDER BY name"""
        with self._explained():
            return [_entry(row) for row in self._db.execute(query)]

    def told(self, names: Iterable[str], now: float) -> None:
        """People know of these slots that were not run."""
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO told VALUES (?, ?)", ((name, now) for name in names))

    def entry(self, name: str) -> Entry | None:
        """What is known of a slot."""
        with self._explained():
            row = self._db.execute(f"SELECT {_COLUMNS} FROM slot WHERE name = ?", (name,)).fetchone()
        return None if row is None else _entry(row)

    def entries(self) -> list[Entry]:
        """Every slot that was decided about, oldest first."""
        with self._explained():
            return [_entry(row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM slot ORDER BY name")]

    def _entry(self, name: str) -> Entry:
        return _entry(self._db.execute(f"SELECT {_COLUMNS} FROM slot WHERE name = ?", (name,)).fetchone())

    def _open(self, states: Sequence[State]) -> list[Entry]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM slot WHERE over_at IS NULL ORDER BY name")
        return [entry for entry in map(_entry, rows) if entry.state in states]

    # -- contents ------------------------------------------------------------------------------------------------------

    def took(self, slot: str) -> tuple[InputFile, ...] | None:
        """The files that a slot has taken, by their paths; None if it has not taken any yet."""
        with self._explained():
            return self._took(slot)

    def take(self, slot: str, files: Iterable[InputFile], now: float) -> tuple[InputFile, ...]:
        """Give a slot those of the files whose content no slot has; of the same content the first. What it once took it
        keeps: then `files` are left alone."""
        with self._transaction():
            if (before := self._took(slot)) is not None:
                return before
            rows = ((each.sha256, slot, each.name, each.bytes, each.ctime_ns) for each in files)
            self._db.executemany("INSERT OR IGNORE INTO taken VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute("UPDATE slot SET took_at = ? WHERE name = ?", (now, slot))
            return self._took(slot) or ()

    def has_taken(self, content: str) -> bool:
        """Whether a slot has taken this content (hex SHA-256)."""
        return self._one("SELECT 1 FROM taken WHERE sha256 = ?", content) is not None

    def knows(self, file: str, size: int, ctime_ns: int) -> bool:
        """Whether a slot has taken the file as it is: nobody has written to it since."""
        query = "SELECT 1 FROM taken WHERE file = ? AND bytes = ? AND ctime_ns = ?"
        return self._one(query, file, size, ctime_ns) is not None

    def _took(self, slot: str) -> tuple[InputFile, ...] | None:
        found = self._db.execute("SELECT took_at FROM slot WHERE name = ?", (slot,)).fetchone()
        if found is None or found[0] is None:
            return None
        query = "SELECT file, bytes, ctime_ns, sha256 FROM taken WHERE slot = ? ORDER BY file"
        return tuple(InputFile(*row) for row in self._db.execute(query, (slot,)))

    # -- SQLite --------------------------------------------------------------------------------------------------------

    def _one(self, query: str, *values: object) -> object:
        with self._explained():
            return self._db.execute(query, values).fetchone()

    def _meta(self, name: str) -> str | None:
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _set_meta(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self.path}: cannot use the record of the schedule: {error}. Nothing was sent."
            ) from error


def _make(path: Path) -> None:
    """An empty file unless there is one. Raises OSError for what is none: a pipe would never answer."""
    descriptor = os.open(path, os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)  # SQLite's other files get this mode
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
    finally:
        os.close(descriptor)


def _entry(row: tuple[Any, ...]) -> Entry:
    name, state, why, *times = row
    if not isinstance(name, str) or state not in list(State) or any(isinstance(each, str | bytes) for each in times):
        raise sqlite3.DatabaseError(f"no batchrun wrote this about a slot: {row!r:.200}")
    return Entry(name, State(state), str(why), *times)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"no batchrun wrote this as a time: {text!r:.60}") from error
