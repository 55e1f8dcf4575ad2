"""What is said of a checkpoint that is damaged, and how that is told from a disk that is full, slow or gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchrun.errors import StoreError

RECOVER = "`batchrun recover` makes it anew from the ledger and the input"
#: What SQLite says of the system, not of the file.
_SYSTEM = frozenset(
    (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM,
     sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH,
     sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_MISUSE)
)  # fmt: skip
#: What values raise that batchrun does not write, where a checkpoint is only looked at.
FOREIGN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def is_damage(error: Exception) -> bool:
    """Whether an error can only come of a file that is not as it was written. Text that is none has no code."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _SYSTEM


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """For a look at the checkpoint at `path`: raises StoreError for what cannot be read, or makes no sense."""
    try:
        yield
    except FOREIGN as error:
        raise damaged(path, f"it holds what batchrun does not write: {type(error).__name__}: {error}") from error
    except sqlite3.Error as error:
        cannot = StoreError(f"{path}: cannot read the checkpoint: {error}.")
        raise (damaged(path, error) if is_damage(error) else cannot) from error


def damaged(path: Path, said: object) -> StoreError:
    """The error for it, with advice."""
    return StoreError(f"{path}: the checkpoint is damaged: {' '.join(str(said).split())}. {RECOVER}.")


def unreadable(what: str, said: object) -> StoreError:
    """The error for one value in it."""
    return StoreError(f"run.db: {what} is damaged: {said}. {RECOVER}.")
