"""Group commit: one thread makes one transaction of all that waits, tells the ledger, and then lets it go on."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from batchrun.errors import InvariantError, StoreError
from batchrun.store.ballast import Ballast
from batchrun.store.damage import damaged, is_damage
from batchrun.store.ledger import Event, Ledger

T = TypeVar("T")

#: How long a group waits for company: fewer fsyncs and thread switches, and little beside a request's seconds.
_GATHER_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Write:
    """A piece of a transaction. `tells` makes of its result what the ledger has to know.

    `begins` is true for the beginning of what costs: with a full disk it is refused, so that there is room for ends.
    """

    work: Callable[[sqlite3.Connection], Any]
    tells: Callable[[Any], Event] | None = None
    begins: bool = False


_Waiting = tuple[Write, "asyncio.Future[Any]"]


class Writer:
    """Writes to the database at `path` and to its ledger, in groups. `epoch` is this process's; set it before."""

    def __init__(self, db: Database, path: Path, ledger: Ledger, ballast: Ballast) -> None:
        self.epoch = 0
        self._db, self._path, self._ledger, self._ballast = db, path, ledger, ballast
        self._connection: sqlite3.Connection = db.conn
        self._queue: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._failure: StoreError | None = None
        self._full: StoreError | None = None

    async def write(self, write: Write) -> Any:
        """What its work returns, in the next group's transaction; returns after its commit. Raises StoreError."""
        refusal = self._failure or (self._full if write.begins else None)
        if refusal is not None:
            raise refusal
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((write, done))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await done

    async def drain(self) -> None:
        """Return when every write that was asked for is committed, also those whose row was cancelled."""
        while self._flusher is not None:
            await asyncio.wait([self._flusher])

    def close(self) -> None:
        self._thread.shutdown()

    def unusable(self, error: Exception) -> StoreError:
        """What to tell when the disk gives up, or the file turns out to be damaged."""
        if is_damage(error):
            return damaged(self._path, error)
        return StoreError(
            f"{self._path}: cannot use the checkpoint: {error}. What was submitted goes on at the service; "
            "make room, or mend the disk, and run the same command again."
        )

    async def _flush(self) -> None:
        """Commit what is queued, group after group, until nothing is."""
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                await asyncio.sleep(_GATHER_SECONDS)
                group, self._queue = self._queue, []
                try:
                    results = await loop.run_in_executor(self._thread, self._commit, [write for write, _ in group])
                except Exception as error:
                    self._fail(error, group)
                    return
                for (_, done), result in zip(group, results, strict=True):
                    _resolve(done, result)
        finally:
            self._flusher = None

    def _commit(self, group: Sequence[Write]) -> list[Any]:
        try:
            return self._committed(group)
        except (sqlite3.OperationalError, OSError) as error:
            if not _is_full(error) or not self._ballast.drop():
                raise
            self._full = self.unusable(error)
            return self._commit_ends(group, self._full)

    def _commit_ends(self, group: Sequence[Write], refusal: StoreError) -> list[Any]:
        """What has happened is stored in the ballast's room; nothing new begins."""
        results = iter(self._committed([write for write in group if not write.begins]))
        return [refusal if write.begins else next(results) for write in group]

    def _committed(self, group: Sequence[Write]) -> list[Any]:
        """One transaction for all; if one of them fails, each alone, so that it fails for itself."""
        try:
            return self._transaction(group)
        except (sqlite3.OperationalError, StoreError, OSError):
            raise
        except Exception:
            return [self._alone(write) for write in group]

    def _alone(self, write: Write) -> Any:
        try:
            return self._transaction([write])[0]
        except (sqlite3.OperationalError, StoreError, OSError):
            raise
        except Exception as error:
            return InvariantError(f"{self._path}: the checkpoint refused a write: {error}. Please report this.")

    def _transaction(self, group: Sequence[Write]) -> list[Any]:
        with self._db.atomic():
            self._fence()
            results = [write.work(self._connection) for write in group]
            told = [write.tells(result) for write, result in zip(group, results, strict=True) if write.tells]
            if told:
                self._connection.execute(_TOLD, (str(self._ledger.last + len(told)),))
        if told:
            self._tell(told)
        return results

    def _tell(self, events: Sequence[Event]) -> None:
        """To the ledger, in the ballast's room if need be: the commit stands already."""
        try:
            self._ledger.append(events)
        except OSError as error:
            if not _is_full(error) or not self._ballast.drop():
                raise
            self._full = self.unusable(error)
            self._ledger.append(events)

    def _fence(self) -> None:
        """A process that was taken for dead must not write into its successor's run."""
        (epoch,) = self._connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
        if epoch != str(self.epoch):
            raise StoreError(f"{self._path}: another process has taken over this run; this one stops.")

    def _fail(self, error: Exception, group: list[_Waiting]) -> None:
        self._failure = error if isinstance(error, StoreError) else self.unusable(error)
        for _, done in [*group, *self._queue]:
            _resolve(done, self._failure)
        self._queue = []


_TOLD = "INSERT INTO meta VALUES ('ledger', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


#: Some file systems tell only at a sync that there is no room. The group is then written anew, so that nothing of it
#: rests on a sync that failed.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC)


def _is_full(error: sqlite3.OperationalError | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return error.sqlite_errorcode in _FULL


def _resolve(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return
    if isinstance(result, Exception):
        done.set_exception(result)
        done.exception()  # a row that was cancelled meanwhile never asks for it
    else:
        done.set_result(result)
