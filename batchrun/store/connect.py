"""Opens a checkpoint for writing, with the settings that its promises rest on."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlite_utils import Database

from batchrun.errors import StoreError
from batchrun.store.migrations import APPLICATION_ID, migrations


def connect(path: Path) -> Database:
    """The checkpoint at `path`, made and migrated if need be. Raises StoreError."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives its other files the same mode
        connection = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db = Database(connection, execute_plugins=False)
        _refuse_newer(db, path)
        migrations.apply(db)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: cannot open the checkpoint: {error}. Nothing was sent.") from error
    return db


def _refuse_newer(db: Database, path: Path) -> None:
    known = {m.name for m in migrations.pending(db)} | {m.name for m in migrations.applied(db)}
    ours = {m.name for m in migrations._migrations}
    if known - ours:
        raise StoreError(f"{path}: written by a newer batchrun ({', '.join(sorted(known - ours))}); upgrade to go on.")
