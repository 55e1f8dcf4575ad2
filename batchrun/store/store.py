"""The truth about a run: one SQLite file, one writer thread, group commit.

Every paid step is durable before the next one begins: the intent before the POST, the id before anything is done
with it, the raw answer before it is read. `await store.…` returns after the fsync of the group the write was in.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from batchrun.errors import StoreError
from batchrun.interactions.models import FunctionCall
from batchrun.rows import Finish
from batchrun.store.ballast import Ballast
from batchrun.store.connect import connect
from batchrun.store.damage import damaged
from batchrun.store.events import begun, cost_nothing, events_of, identified, intended
from batchrun.store.ledger import Ledger
from batchrun.store.migrations import LIVE, OPEN
from batchrun.store.records import AttemptState, Intent
from batchrun.store.writer import Write, Writer

T = TypeVar("T")

_ARM_AGAIN = """UPDATE attempt SET state = 'intent', epoch = ?, posts = posts + 1, evidence = NULL, charge = ?
                WHERE id = ? AND state IN ('not_sent', 'refused')"""
_ARM_FIRST = """INSERT INTO attempt (row_id, number, exchange, turn, epoch, state, intent_key, request_sha,
                model, agent, files, tokens, charge, intent_at, posts)
                VALUES (?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?, ?, ?, ?, ?, 1)"""
_RESULT = """UPDATE attempt SET state = ?, evidence = ?, http_status = ?, error_class = ?, error_message = ?, raw = ?,
             charge = CASE WHEN ? THEN charge * 0 ELSE charge END WHERE id = ?"""
_SUBMITTED = """UPDATE attempt SET state = 'submitted', evidence = NULL, interaction_id = ?, submitted_at = ?,
                raw = NULL, error_class = NULL, error_message = NULL WHERE id = ?"""
_FETCHED = """UPDATE attempt SET state = 'fetched', interaction_status = ?, service_tier = ?, usage = ?, raw = ?,
              model = coalesce(?, model), polls = polls + ?, fetched_at = ?, evidence = NULL, error_class = NULL,
              error_message = NULL, interaction_id = coalesce(interaction_id, ?),
              submitted_at = coalesce(submitted_at, ?), charge = coalesce(?, charge) WHERE id = ?"""
_COMPLETED = "UPDATE attempt SET raw = ? WHERE id = ? AND state = 'fetched'"
_GONE = "UPDATE attempt SET state = ?, polls = polls + ?, error_class = ?, error_message = ? WHERE id = ?"
_CALL_BEGINS = """INSERT INTO tool_call (attempt_id, position, call_id, name, arguments, began_at)
                  VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET tries = tries + 1, began_at = excluded.began_at,
                  released = 0"""
_CALL_ENDS = """UPDATE tool_call SET result = ?, is_error = ?, ended_at = ?
                WHERE attempt_id = ? AND position = ? AND ended_at IS NULL"""
_SUPERSEDE = "UPDATE attempt SET superseded_at = ?, superseded_by = 'policy' WHERE id = ?"
_PURGED = "UPDATE attempt SET purged_at = ? WHERE id = ?"
_PLAN_PURGED = f"""UPDATE row SET outcome = ?, error_class = ?, error_message = ?, finished_at = ?
                   WHERE outcome = 'awaiting_approval' AND id = (SELECT row_id FROM attempt WHERE id = ? AND {LIVE})"""
_BEGIN_ANEW = f"UPDATE attempt SET superseded_at = ?, superseded_by = 'purge' WHERE row_id = ? AND {LIVE}"
_FINISH = "UPDATE row SET outcome = ?, error_class = ?, error_message = ?, finished_at = ?, output = ? WHERE id = ?"


class Follow(Protocol):
    """What `Store.following` may be."""

    def after(self, db: sqlite3.Connection, row_id: int) -> list[int]:
        """Make what follows from a row that has ended; return the ids of what is to be carried."""


class Store:
    """The writing side of a checkpoint. Synchronous methods are for before and after the event loop runs."""

    def __init__(self, path: Path, *, behind: bool = False) -> None:
        """Raises StoreError where it cannot be opened, or knows less than its ledger unless it may be `behind`."""
        self.path = path
        self.following: Follow | None = None
        """Makes what follows from rows that end, in a job of stages."""
        self._ledger = Ledger(path.with_name("run.ledger"))
        if self._ledger.exists and not path.exists() and not behind:
            raise _forgotten(path, "is gone")
        self.db = connect(path)
        self.connection: sqlite3.Connection = self.db.conn
        self._ballast = Ballast(path.with_name("run.ballast"))
        self._writer = Writer(self.db, path, self._ledger, self._ballast)
        if self.is_behind and not behind:
            self.close()
            raise _forgotten(path, "is older than its ledger: a copy was put back, or its `-wal` file is gone")

    def close(self) -> None:
        self._writer.close()
        self.connection.close()
        self._ledger.close()
        self._ballast.drop()

    def unusable(self, error: Exception) -> StoreError:
        """What to tell when the disk gives up."""
        return self._writer.unusable(error)

    async def drain(self) -> None:
        """Return when every write that was asked for is committed."""
        await self._writer.drain()

    @property
    def epoch(self) -> int:
        """How many processes have gone on with this run, this one included."""
        return self._writer.epoch

    # -- meta -------------------------------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        found = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def set_meta(self, **values: str | None) -> None:
        with self.db.atomic():
            self.connection.executemany(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", values.items()
            )

    def charge(self, charges: Iterable[tuple[int, int]]) -> None:
        """Set what attempts are charged with: pairs of billionths of a dollar and the attempt's id."""
        with self.db.atomic():
            self.connection.executemany("UPDATE attempt SET charge = ? WHERE id = ?", charges)

    def forget_charges(self, prices: str) -> bool:
        """What known usage is charged with is to be counted anew, unless that was done with these `prices` (a hash).

        Returns whether they are other ones.
        """
        known = self.meta("prices")
        if known != prices:
            with self.db.atomic():
                self.connection.execute("UPDATE attempt SET charge = NULL WHERE usage NOT NULL")
                self.set_meta(prices=prices)
        return known not in (None, prices)

    def begin_epoch(self) -> int:
        """Start a new life of this run. An intent of a dead process is ambiguous from now on; returns how many were.

        Raises StoreError where the disk has no room for a run.
        """
        self._ballast.take()
        with self.db.atomic():
            self._writer.epoch = self._number("epoch") + 1
            self.connection.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (str(self._writer.epoch),))
            dead = self.connection.execute(
                f"""UPDATE attempt SET state = 'ambiguous', error_class = 'process_died', evidence =
                    'the process died between the intent and the outcome' WHERE state = 'intent' AND {OPEN}"""
            )
        self.mend_ledger()
        return dead.rowcount

    @property
    def is_behind(self) -> bool:
        """True if the ledger knows what this checkpoint does not."""
        return self._ledger.last > self._told

    def caught_up(self) -> None:
        """All that the ledger tells is here now."""
        self.set_meta(ledger=str(self._ledger.last))

    @property
    def _told(self) -> int:
        """The number of the last event that the ledger was told."""
        return self._number("ledger")

    def _number(self, name: str) -> int:
        said = self.meta(name) or "0"
        if not said.isdecimal():
            raise damaged(self.path, f"its {name!r} is {said!r}")
        return int(said)

    def mend_ledger(self, *, faulty: bool = False) -> None:
        """Write the ledger anew where a process died before it was told, where a power cut tore its end, where there is
        none, where it begins with what the job asked before it was edited, or where it is `faulty`."""
        ledger = self._ledger
        if faulty or ledger.last < self._told or ledger.torn or ledger.first != begun(self.connection):
            last = max(self._told, 1)
            self.set_meta(ledger=str(last))  # first: a ledger that is ahead is taken for a checkpoint that is lost
            self._ledger.rewrite(events_of(self.connection), last)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the next group's transaction; returns after its commit. Raises StoreError."""
        done: T = await self._writer.write(Write(work))
        return done

    # -- a row's life -----------------------------------------------------------------------------------------

    async def arm(self, intent: Intent, at: float, attempt_id: int = 0) -> int:
        """Make the intent of a POST durable; `attempt_id` names one refused before. Returns the attempt's id."""
        epoch = self._writer.epoch

        def work(db: sqlite3.Connection) -> int:
            if attempt_id and db.execute(_ARM_AGAIN, (epoch, intent.charge, attempt_id)).rowcount == 1:
                return attempt_id
            i = intent
            files = json.dumps(i.files) if i.files else None
            who = (i.intent_key, i.request_sha, i.model, i.agent, files, i.tokens, i.charge)
            values = (i.row_id, i.number, i.exchange, i.turn, epoch, *who)
            return db.execute(_ARM_FIRST, (*values, at)).lastrowid or 0

        write = Write(work, tells=lambda known: intended(known, intent, at), begins=True)
        armed: int = await self._writer.write(write)
        return armed

    async def submitted(self, attempt_id: int, interaction_id: str, at: float) -> None:
        """The service named the interaction: from here on the row can always be resumed."""
        told = identified(attempt_id, interaction_id, at)
        await self._writer.write(
            Write(lambda db: _one(db, _SUBMITTED, (interaction_id, at, attempt_id)), lambda _: told)
        )

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
        free = state != AttemptState.AMBIGUOUS
        values = (state, evidence, http_status, kind, evidence, kept, free, attempt_id)
        told = None if not free else (lambda _: cost_nothing(attempt_id))
        await self._writer.write(Write(lambda db: _one(db, _RESULT, values), told))

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
        charge: int | None = None,
    ) -> None:
        """The answer as it came, before anybody interprets it; `row_end` is a row's end that does not depend on it.

        `interaction_id` is for an answer that came in the POST's own reply; "" where it has no id. `charge` is
        what it cost (see Intent), None if that stays what it was.
        """
        counted = None if usage is None else json.dumps(usage)

        def work(db: sqlite3.Connection) -> None:
            packed = zlib.compress(raw, 1)  # here, because it lets go of the interpreter, which costs a loop dearly
            _one(
                db, _FETCHED, (status, tier, counted, packed, model, polls, at, interaction_id, at, charge, attempt_id)
            )
            if row_end is not None:
                self._end_row(db, *row_end, at)

        told = (lambda _: identified(attempt_id, interaction_id, at)) if interaction_id else None
        await self._writer.write(Write(work, told))

    async def completed(self, attempt_id: int, raw: bytes) -> None:
        """An answer that was fetched has its media in files now."""
        await self.write(lambda db: _one(db, _COMPLETED, (zlib.compress(raw, 1), attempt_id)))

    async def gone(self, attempt_id: int, row_id: int, state: str, polls: int, end: Finish, at: float) -> None:
        """There will be no answer (`lost` or `timed_out`): the attempt's end and the row's, or neither."""

        def work(db: sqlite3.Connection) -> None:
            _one(db, _GONE, (state, polls, end.kind, end.message, attempt_id))
            self._end_row(db, row_id, end, at)

        await self.write(work)

    async def call_begins(self, attempt_id: int, position: int, call: FunctionCall, at: float) -> None:
        """A function is about to be run for an answer: durable before it starts."""
        arguments = json.dumps(call.arguments)
        values = (attempt_id, position, call.id, call.name, arguments, at)
        await self._writer.write(Write(lambda db: db.execute(_CALL_BEGINS, values), begins=True))

    async def call_ends(self, attempt_id: int, position: int, result: object, is_error: bool, at: float) -> None:
        """What the function gave: from here on it is never run again for this answer."""
        values = (json.dumps(result), is_error, at, attempt_id, position)
        await self.write(lambda db: _one(db, _CALL_ENDS, values))

    async def finish(self, row_id: int, end: Finish, at: float, output: str | None = None) -> list[int]:
        """The row's one outcome, with its output (JSON) for what follows. Returns the ids of the rows to be carried
        now that it has ended."""
        return await self.write(lambda db: self._end_row(db, row_id, end, at, output))

    def end(self, row_id: int, end: Finish, at: float) -> None:
        """The same before or after the event loop runs."""
        with self.db.atomic():
            self._end_row(self.connection, row_id, end, at)

    def _end_row(
        self, db: sqlite3.Connection, row_id: int, end: Finish, at: float, output: str | None = None
    ) -> list[int]:
        end_row(db, row_id, end, at, output)
        return [] if self.following is None else self.following.after(db, row_id)

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


def _forgotten(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path}: the checkpoint {why}. Interactions that were paid for would be paid again; nothing was sent. "
        "`batchrun recover` makes it anew from the ledger and the input."
    )


def _one(db: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> None:
    if db.execute(statement, values).rowcount != 1:
        raise sqlite3.IntegrityError(f"no row changed by {statement.split(maxsplit=3)[:3]}")


def end_row(db: sqlite3.Connection, row_id: int, end: Finish, at: float, output: str | None = None) -> None:
    """Give a row its outcome."""
    _one(db, _FINISH, (end.outcome.value, end.kind, end.message, at, output, row_id))
