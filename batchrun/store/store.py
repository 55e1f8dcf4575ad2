"""The truth about a run: one SQLite file, one writer thread, group commit.

Every paid step is durable before the next one begins: the intent before the POST, the id before anything is done
with it, the raw answer before it is read. `await store.…` returns after the fsync of the group the write was in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from batchrun.errors import InvariantError, StoreError
from batchrun.interactions.models import FunctionCall
from batchrun.rows import Finish
from batchrun.store.migrations import APPLICATION_ID, LIVE, OPEN, migrations

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], Any]

#: How long a group waits for company: fewer fsyncs and thread switches, and little beside a request's seconds.
_GATHER_SECONDS = 0.002

_ARM_AGAIN = """UPDATE attempt SET state = 'intent', epoch = ?, posts = posts + 1, evidence = NULL
                WHERE id = ? AND state IN ('not_sent', 'refused')"""
_ARM_FIRST = """INSERT INTO attempt (row_id, number, stage, exchange, turn, epoch, state, intent_key, request_sha,
                model, agent, files, intent_at, posts) VALUES (?, ?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?, ?, ?, 1)"""
_RESULT = """UPDATE attempt SET state = ?, evidence = ?, http_status = ?, error_class = ?, error_message = ?, raw = ?
             WHERE id = ?"""
_SUBMITTED = """UPDATE attempt SET state = 'submitted', evidence = NULL, interaction_id = ?, submitted_at = ?,
                raw = NULL, error_class = NULL, error_message = NULL WHERE id = ?"""
_FETCHED = """UPDATE attempt SET state = 'fetched', interaction_status = ?, service_tier = ?, usage = ?, raw = ?,
              model = coalesce(?, model), polls = polls + ?, fetched_at = ?, evidence = NULL, error_class = NULL,
              error_message = NULL, interaction_id = coalesce(interaction_id, ?),
              submitted_at = coalesce(submitted_at, ?) WHERE id = ?"""
_COMPLETED = "UPDATE attempt SET raw = ? WHERE id = ? AND state = 'fetched'"
_GONE = "UPDATE attempt SET state = ?, polls = polls + ?, error_class = ?, error_message = ? WHERE id = ?"
_CALL_BEGINS = """INSERT INTO tool_call (attempt_id, position, call_id, name, arguments, began_at)
                  VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET tries = tries + 1, began_at = excluded.began_at,
                  released = 0"""
_CALL_ENDS = """UPDATE tool_call SET result = ?, is_error = ?, ended_at = ?
                WHERE attempt_id = ? AND position = ? AND ended_at IS NULL"""
_SUPERSEDE = "UPDATE attempt SET superseded_at = ?, superseded_by = 'policy' WHERE id = ?"
_PENDING = """UPDATE row SET outcome = NULL, error_class = NULL, error_message = NULL, finished_at = NULL,
              reopened_at = ?"""
_PURGED = "UPDATE attempt SET purged_at = ? WHERE id = ?"
_PLAN_PURGED = f"""UPDATE row SET outcome = ?, error_class = ?, error_message = ?, finished_at = ?
                   WHERE outcome = 'awaiting_approval' AND id = (SELECT row_id FROM attempt WHERE id = ? AND {LIVE})"""
_BEGIN_ANEW = f"UPDATE attempt SET superseded_at = ?, superseded_by = 'purge' WHERE row_id = ? AND {LIVE}"
_FINISH = "UPDATE row SET outcome = ?, error_class = ?, error_message = ?, finished_at = ? WHERE id = ?"

#: Not a good answer in the midst of a conversation whose row ended for another reason: a refusal of the next POST,
#: a template that did not render, rounds of calls used up, a function that was interrupted, media not fetched. Not so
#: a plan that was purged: nothing can follow it.
_ENDED_ITS_ROW = """(exchange = (SELECT max(exchange) FROM attempt later WHERE later.row_id = attempt.row_id
                      AND later.superseded_at IS NULL AND later.state NOT IN ('not_sent', 'refused'))
                  AND NOT (state = 'fetched' AND
                      (SELECT error_class = 'media_not_fetched' OR
                              (outcome IN ('failed', 'ambiguous') AND error_class NOT IN ('requires_action', 'purged')
                               AND coalesce(interaction_status, '')
                                   IN ('completed', 'requires_action', 'requires_continuation'))
                       FROM row WHERE row.id = attempt.row_id)))"""


@dataclass(frozen=True, slots=True)
class Intent:
    """A POST about to be made. `files` are JSON objects about the files in it."""

    row_id: int
    number: int
    intent_key: str
    request_sha: str
    model: str | None
    agent: bool = False
    stage: str = ""
    exchange: int = 0
    turn: int = 0
    files: tuple[dict[str, Any], ...] = ()


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


class Store:
    """The writing side of a checkpoint. Synchronous methods are for before and after the event loop runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = connect(path)
        self.connection: sqlite3.Connection = self.db.conn
        self.epoch = 0
        self._queue: list[tuple[Write, asyncio.Future[Any]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self.failure: StoreError | None = None

    def close(self) -> None:
        self._thread.shutdown()
        self.connection.close()

    def unusable(self, error: Exception) -> StoreError:
        """What to tell when SQLite gives up."""
        return StoreError(
            f"{self.path}: cannot use the checkpoint: {error}. What was submitted goes on at the service; "
            "make room, or mend the disk, and run the same command again."
        )

    # -- meta -------------------------------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        found = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def set_meta(self, **values: str | None) -> None:
        with self.db.atomic():
            self.connection.executemany(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", values.items()
            )

    def begin_epoch(self) -> int:
        """Start a new life of this run. An intent of a dead process is ambiguous from now on; returns how many were."""
        with self.db.atomic():
            self.epoch = int(self.meta("epoch") or 0) + 1
            self.connection.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (str(self.epoch),))
            dead = self.connection.execute(
                f"""UPDATE attempt SET state = 'ambiguous', error_class = 'process_died', evidence =
                    'the process died between the intent and the outcome' WHERE state = 'intent' AND {OPEN}"""
            )
            return dead.rowcount

    # -- group commit -----------------------------------------------------------------------------------------

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the next group's transaction; returns after its commit. Raises StoreError."""
        if self.failure is not None:
            raise self.failure
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((work, done))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await done

    async def _flush(self) -> None:
        """Commit what is queued, group after group, until nothing is."""
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                await asyncio.sleep(_GATHER_SECONDS)
                group, self._queue = self._queue, []
                try:
                    results = await loop.run_in_executor(self._thread, self._commit, [work for work, _ in group])
                except Exception as error:
                    self._fail(error, group)
                    return
                for (_, done), result in zip(group, results, strict=True):
                    _resolve(done, result)
        finally:
            self._flusher = None

    def _commit(self, works: list[Write]) -> list[Any]:
        """One transaction for all; if one of them fails, each alone, so that it fails for itself."""
        try:
            with self.db.atomic():
                self._fence()
                return [work(self.connection) for work in works]
        except (sqlite3.OperationalError, StoreError):
            raise
        except Exception:
            return [self._commit_alone(work) for work in works]

    def _commit_alone(self, work: Write) -> Any:
        try:
            with self.db.atomic():
                self._fence()
                return work(self.connection)
        except (sqlite3.OperationalError, StoreError):
            raise
        except Exception as error:
            return InvariantError(f"{self.path}: the checkpoint refused a write: {error}. Please report this.")

    def _fence(self) -> None:
        """A process that was taken for dead must not write into its successor's run."""
        if self.meta("epoch") != str(self.epoch):
            raise StoreError(f"{self.path}: another process has taken over this run; this one stops.")

    def _fail(self, error: Exception, group: list[tuple[Write, asyncio.Future[Any]]]) -> None:
        self.failure = error if isinstance(error, StoreError) else self.unusable(error)
        for _, done in [*group, *self._queue]:
            _resolve(done, self.failure)
        self._queue = []

    # -- a row's life -----------------------------------------------------------------------------------------

    async def arm(self, intent: Intent, at: float, attempt_id: int = 0) -> int:
        """Make the intent of a POST durable; `attempt_id` names one refused before. Returns the attempt's id."""

        def work(db: sqlite3.Connection) -> int:
            if attempt_id and db.execute(_ARM_AGAIN, (self.epoch, attempt_id)).rowcount == 1:
                return attempt_id
            i = intent
            files = json.dumps(i.files) if i.files else None
            who = (i.intent_key, i.request_sha, i.model, i.agent, files)
            values = (i.row_id, i.number, i.stage, i.exchange, i.turn, self.epoch, *who)
            return db.execute(_ARM_FIRST, (*values, at)).lastrowid or 0

        return await self.write(work)

    async def submitted(self, attempt_id: int, interaction_id: str, at: float) -> None:
        """The service named the interaction: from here on the row can always be resumed."""
        await self.write(lambda db: _one(db, _SUBMITTED, (interaction_id, at, attempt_id)))

    async def not_submitted(
        self,
        attempt_id: int,
        state: str,
        evidence: str,
        http_status: int | None,
        kind: str | None,
        reply: bytes = b"",
    ) -> None:
        """A POST ended as `not_sent`, `refused` or `ambiguous`; `reply` is what came of an answer in doubt."""
        kept = zlib.compress(reply, 1) if reply else None
        values = (state, evidence, http_status, kind, evidence, kept, attempt_id)
        await self.write(lambda db: _one(db, _RESULT, values))

    async def fetched(
        self,
        attempt_id: int,
        raw: bytes,
        at: float,
        *,
        status: str | None,
        model: str | None,
        tier: str | None,
        usage: dict[str, Any] | None,
        polls: int,
        interaction_id: str | None = None,
        row_end: tuple[int, Finish] | None = None,
    ) -> None:
        """The answer as it came, before anybody interprets it; `row_end` is a row's end that does not depend on it.

        `interaction_id` is for an answer that came in the POST's own reply; "" where it has no id.
        """
        counted = None if usage is None else json.dumps(usage)

        def work(db: sqlite3.Connection) -> None:
            packed = zlib.compress(raw, 1)  # here, because it lets go of the interpreter, which costs a loop dearly
            _one(db, _FETCHED, (status, tier, counted, packed, model, polls, at, interaction_id, at, attempt_id))
            if row_end is not None:
                _finish(db, *row_end, at)

        await self.write(work)

    async def completed(self, attempt_id: int, raw: bytes) -> None:
        """An answer that was fetched has its media in files now."""
        await self.write(lambda db: _one(db, _COMPLETED, (zlib.compress(raw, 1), attempt_id)))

    async def gone(self, attempt_id: int, row_id: int, state: str, polls: int, end: Finish, at: float) -> None:
        """There will be no answer (`lost` or `timed_out`): the attempt's end and the row's, or neither."""

        def work(db: sqlite3.Connection) -> None:
            _one(db, _GONE, (state, polls, end.kind, end.message, attempt_id))
            _finish(db, row_id, end, at)

        await self.write(work)

    async def call_begins(self, attempt_id: int, position: int, call: FunctionCall, at: float) -> None:
        """A function is about to be run for an answer: durable before it starts."""
        arguments = json.dumps(call.arguments)
        values = (attempt_id, position, call.id, call.name, arguments, at)
        await self.write(lambda db: db.execute(_CALL_BEGINS, values))

    async def call_ends(self, attempt_id: int, position: int, result: object, is_error: bool, at: float) -> None:
        """What the function gave: from here on it is never run again for this answer."""
        values = (json.dumps(result), is_error, at, attempt_id, position)
        await self.write(lambda db: _one(db, _CALL_ENDS, values))

    async def finish(self, row_id: int, end: Finish, at: float) -> None:
        """The row's one outcome."""
        await self.write(lambda db: _finish(db, row_id, end, at))

    def tell(self, words: Iterable[tuple[int, bool, str]], at: float) -> int:
        """The user's words on research plans, by attempt: go ahead or not, and a text. Their rows are pending again."""
        told = 0
        with self.db.atomic():
            for attempt_id, go, text in words:
                self.connection.execute("INSERT INTO word VALUES (?, ?, ?, ?)", (attempt_id, go, text, at))
                told += self.connection.execute(
                    f"{_PENDING} WHERE outcome = 'awaiting_approval' AND id = "
                    "(SELECT row_id FROM attempt WHERE attempt.id = ?)",
                    (at, attempt_id),
                ).rowcount
        return told

    async def drain(self) -> None:
        """Return when every write that was asked for is committed, also those whose row was cancelled."""
        while self._flusher is not None:
            await asyncio.wait([self._flusher])

    async def supersede(self, attempt_id: int, at: float) -> None:
        """Allow another attempt at the row: a decision to pay again, on record."""
        await self.write(lambda db: _one(db, _SUPERSEDE, (at, attempt_id)))

    async def purged(self, attempt_ids: Iterable[int], plan_end: Finish, at: float) -> None:
        """The service has these attempts' interactions no more. A plan that waited there for approval ends its row."""
        end = (plan_end.outcome.value, plan_end.kind, plan_end.message, at)
        ids = list(attempt_ids)

        def work(db: sqlite3.Connection) -> None:
            db.executemany(_PURGED, ((at, attempt_id) for attempt_id in ids))
            db.executemany(_PLAN_PURGED, ((*end, attempt_id) for attempt_id in ids))

        await self.write(work)

    async def begin_anew(self, row_id: int, at: float) -> None:
        """Allow the row's conversation from its start again: what it would go on from was purged."""
        await self.write(lambda db: db.execute(_BEGIN_ANEW, (at, row_id)))

    def reopen(self, outcomes: list[str], keys: list[str], at: float, *, from_start: bool = False) -> int:
        """Make ended rows pending again, but for rejected ones; the attempt that ended each is superseded.

        Exchanges that were answered well before it are paid for and stay, unless `from_start`.
        """
        chosen = f"""SELECT id FROM row WHERE NOT rejected AND outcome IN ({_marks(outcomes)})
                     AND (? OR key IN ({_marks(keys)}))"""
        values = [*outcomes, not keys, *keys]
        with self.db.atomic():
            self.connection.execute(
                f"""UPDATE attempt SET superseded_at = ?, superseded_by = 'user'
                    WHERE {LIVE} AND row_id IN ({chosen}) AND (? OR {_ENDED_ITS_ROW})""",
                [at, *values, from_start],
            )
            self.connection.execute(
                f"""UPDATE tool_call SET released = 1 WHERE ended_at IS NULL AND attempt_id IN
                    (SELECT id FROM attempt WHERE row_id IN ({chosen}))""",
                values,
            )
            return self.connection.execute(f"{_PENDING} WHERE id IN ({chosen})", [at, *values]).rowcount


def _marks(values: list[str]) -> str:
    return ", ".join("?" * len(values))


def _one(db: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> None:
    if db.execute(statement, values).rowcount != 1:
        raise sqlite3.IntegrityError(f"no row changed by {statement.split(maxsplit=3)[:3]}")


def _finish(db: sqlite3.Connection, row_id: int, end: Finish, at: float) -> None:
    _one(db, _FINISH, (end.outcome.value, end.kind, end.message, at, row_id))


def _resolve(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return
    if isinstance(result, Exception):
        done.set_exception(result)
        done.exception()  # a row that was cancelled meanwhile never asks for it
    else:
        done.set_result(result)
