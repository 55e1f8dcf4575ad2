"""What is said of a checkpoint that is damaged, and how that is told from a disk that is full, slow or gone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from batchrun.errors import StoreError

RECOVER = "`batchrun recover` makes it anew from the ledger and the input"
#: What SQLite says of the system, not of the file.
_SYSTEM = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM,
     sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH,
     sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_MISUSE)
)  # fmt: skip


def is_damage(error: Exception) -> bool:
    """Whether an error can only come of a file that is not as it was written. Text that is none has no code."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _SYSTEM


def damaged(path: Path, said: object) -> StoreError:
    """The error for it, with advice."""
    return StoreError(f"{path}: the checkpoint is damaged: {' '.join(str(said).split())}. {RECOVER}.")


def unreadable(what: str, said: object) -> StoreError:
    """The error for one value in it."""
    return StoreError(f"run.db: {what} is damaged: {said}. {RECOVER}.")
