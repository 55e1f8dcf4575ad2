"""Which version of batchrun a checkpoint's tables are of, and how an older one becomes ours: all of it, or nothing."""

from __future__ import annotations

import os
import sqlite3
from itertools import count
from pathlib import Path

from sqlite_utils import Database

from batchrun.disk import sync_directory
from batchrun.errors import StoreError
from batchrun.store.migrations import APPLICATION_ID, migrations

_TABLE = migrations.migrations_table


def refuse_newer(db: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError for a checkpoint that has seen migrations which are not ours."""
    if newer := _applied(db) - _ours():
        raise StoreError(f"{path}: written by a newer batchrun ({', '.join(sorted(newer))}); upgrade to go on.")


def refuse_older(db: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError for a checkpoint that has yet to be brought up to date."""
    if older := _ours() - _applied(db):
        raise StoreError(
            f"{path}: written by an older batchrun (without {', '.join(sorted(older))}). `batchrun run` keeps a copy, "
            "brings it up to date and goes on with it."
        )


def bring_up_to_date(db: Database, path: Path) -> None:
    """Make the tables of a new checkpoint, or those of an older one ours, of which a copy is kept beside it.

    Raises sqlite3.Error or OSError, with the checkpoint as it was.
    """
    if not migrations.pending(db):
        return
    if migrations.applied(db):
        _back_up(db, path)
    with db.atomic():
        db.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations.apply(db)


def _back_up(db: Database, path: Path) -> Path:
    """A durable copy of the checkpoint, under a name that says which migration it has not seen yet."""
    stem = f"{path.name}.before-{migrations.pending(db)[0].name}"
    names = (path.with_name(stem if n == 1 else f"{stem}-{n}") for n in count(1))
    copy = next(name for name in names if not name.exists())
    draft = copy.with_name(f"{stem}.part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        db.conn.execute("VACUUM INTO ?", (str(draft),))
        os.fsync(descriptor)
        draft.rename(copy)
        sync_directory(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return copy


def _ours() -> set[str]:
    return {migration.name for migration in migrations._migrations}


def _applied(db: sqlite3.Connection) -> set[str]:
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (_TABLE,)).fetchone():
        return set()
    query = f"SELECT name FROM {_TABLE} WHERE migration_set = ?"
    return {name for (name,) in db.execute(query, (migrations.name,))}
