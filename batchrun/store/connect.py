"""Opens a checkpoint for writing, with the settings that its promises rest on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from batchrun.errors import StoreError
from batchrun.store.damage import RECOVER, is_damage
from batchrun.store.versions import bring_up_to_date, refuse_newer


def connect(path: Path) -> Database:
    """The checkpoint at `path`, made and migrated if need be. Raises StoreError, for a damaged or newer one before
    anything is written."""
    try:
        _examine(path)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives its other files the same mode
        connection = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
        try:
            return _prepared(connection, path)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        advice = f" {RECOVER}." if is_damage(error) else ""
        raise StoreError(f"{path}: cannot open the checkpoint: {error}. Nothing was sent.{advice}") from error


def _prepared(connection: sqlite3.Connection, path: Path) -> Database:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":  # it says so, and goes on with another one
        raise StoreError(f"{path}: the disk does not let SQLite keep a write-ahead log here. Nothing was sent.")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    db = Database(connection, execute_plugins=False)
    bring_up_to_date(db, path)
    connection.execute("PRAGMA foreign_keys = ON")  # after: a migration may have to put a table in another's place
    return db


def _examine(path: Path) -> None:
    """Read only, unless its making is to be undone first. The whole file where a process was killed over it: that takes
    seconds where it is large and not in memory, and is left out after an orderly end."""
    if not path.exists():
        return
    mode = "rw" if path.with_name(f"{path.name}-journal").exists() else "ro"
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=10)) as db:
        refuse_newer(db, path)
        said = db.execute("PRAGMA quick_check(1)").fetchone()[0] if _was_left_open(path) else "ok"
    if said != "ok":
        raise StoreError(f"{path}: the checkpoint is damaged: {' '.join(said.split())}. Nothing was sent. {RECOVER}.")


def _was_left_open(path: Path) -> bool:
    """Whether the last process that wrote did not come to close the checkpoint: closing takes the log away."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0
