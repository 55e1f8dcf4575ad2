"""Faults that are planted in a process of batchrun, to see that the proofs find them."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchrun.engine.steering import Steering
from batchrun.errors import InvariantError, StoreError
from batchrun.store.store import Store
from batchrun.store.writer import Writer

#: What is done in a process before batchrun begins.
Step = Callable[[], object]


def nothing() -> None:
    """The process as it is."""


def in_turn(*steps: Step) -> None:
    for step in steps:
        step()


def forget_intents() -> None:
    """A POST whose process died counts as never made."""
    begin = Store.begin_epoch

    def forgetful(self: Store) -> int:
        self.connection.execute("DELETE FROM attempt WHERE state = 'intent'")
        return begin(self)

    Store.begin_epoch = forgetful  # type: ignore[method-assign]


def believe_anything() -> None:
    """A checkpoint that cannot be believed is begun anew."""
    begin = Store.__init__

    def careless(self: Store, path: Path, *, behind: bool = False) -> None:
        try:
            begin(self, path, behind=behind)
        except StoreError:
            for each in path.parent.glob("run.*"):
                each.unlink()
            begin(self, path)

    Store.__init__ = careless  # type: ignore[method-assign]


def sync_less() -> None:
    """`synchronous = NORMAL`: a commit may be lost with the power."""
    connect = sqlite3.connect

    def careless(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return connect(*arguments, **named, factory=_Careless)

    sqlite3.connect = careless  # type: ignore[assignment]


class _Careless(sqlite3.Connection):
    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(statement.replace("synchronous = FULL", "synchronous = NORMAL"), *values)


def sync_no_files() -> None:
    """Files are renamed without having been synced; directories and the ledger are not synced."""
    os.fsync = os.fdatasync = lambda _descriptor: None  # type: ignore[assignment]


def pause_nothing() -> None:
    """A run says that it is paused, and is not."""
    Steering.pause = lambda _self: None  # type: ignore[method-assign]


def lock_nothing() -> None:
    """Every process believes that it has the run's lock."""
    fcntl.flock = lambda _descriptor, _how: None  # type: ignore[assignment]


def disk_errors_unexplained() -> None:
    """What the disk says comes to the user as a failure of batchrun's."""

    def unexplained(_self: Writer, error: Exception) -> Any:
        return InvariantError(f"batchrun itself failed: {error}")

    Writer.unusable = unexplained  # type: ignore[method-assign]
