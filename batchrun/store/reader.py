"""The reading side of a checkpoint: opened read-only, so that `status` and exports never disturb a run."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchrun.errors import SpecError, StoreError
from batchrun.store.damage import explained, unreadable
from batchrun.store.migrations import LIVE, OPEN, live
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord, ToolCallRecord
from batchrun.store.tokens import token_count
from batchrun.store.versions import refuse_newer, refuse_older

_ATTEMPT = """a.id, a.row_id, r.key, a.number, r.stage, a.exchange, a.turn, a.state, a.evidence, a.intent_key,
    a.request_sha, a.model, a.agent,
    a.interaction_id, a.interaction_status, a.service_tier, a.posts, a.polls, a.http_status, a.error_class,
    a.error_message, a.intent_at, a.submitted_at, a.fetched_at, a.superseded_at, a.purged_at, a.usage, a.files"""
_ROW = """r.id, r.position, r.key, r.source, r.input_sha, r.data, r.outcome, r.error_class, r.error_message,
    r.finished_at, r.stage,
    (SELECT count(*) FROM attempt c WHERE c.row_id = r.id),
    (SELECT count(*) FROM attempt c WHERE c.row_id = r.id AND c.state = 'fetched'
        AND c.superseded_at > coalesce(r.reopened_at, 0) AND c.superseded_by != 'purge'), r.output"""
_LAST = """(SELECT b.id FROM attempt b WHERE b.row_id = r.id
            ORDER BY b.superseded_at NOT NULL, b.number DESC, b.id DESC LIMIT 1)"""
_ROW_FIELDS = 14
_LIVE_OF_ROW = (
    f"a.id = (SELECT b.id FROM attempt b WHERE b.row_id = r.id AND {live('b')} ORDER BY b.exchange DESC LIMIT 1)"
)

#: Rows that the last reading of the input came by: a limit or another `where` leaves out earlier ones.
_LAST_PASS = "SELECT max(seen) FROM row"
_CHOSEN = f"r.seen = ({_LAST_PASS})"

#: Rows of the input as it was last accepted. One that has left it stays in the checkpoint, with what it cost.
PRESENT = "seen != 0"

#: Attempts whose interaction the service may keep. One under way is left out: its answer is not fetched yet.
_KEPT = "interaction_id > '' AND purged_at IS NULL AND (state != 'submitted' OR superseded_at NOT NULL)"

_OF_STAGE = "(SELECT stage FROM row WHERE id = attempt.row_id) = ?"

#: Attempts a restarted run goes on with: they hold an id, an answer, or a question about money.
_UNDER_WAY = "('submitted', 'fetched', 'ambiguous')"


class Reader:
    """Reads one checkpoint, also while a run writes it.

    Raises SpecError if there is none, StoreError if it cannot be read or is of another version; of an `older` one, if
    that will do, only `meta` can be read. A `traceless` one makes no file beside it, and of a run that begins just then
    may see anything.
    """

    def __init__(self, path: Path, *, older: bool = False, traceless: bool = False) -> None:
        if not path.is_file():
            if path.with_name("run.ledger").is_file():
                raise StoreError(f"{path}: the checkpoint is gone. `batchrun recover` makes it anew from its ledger.")
            raise SpecError(f"{path.parent}: nothing has been run here yet. Start with `batchrun run`.")
        with explained(path):
            address = f"{path.resolve().as_uri()}?{_mode(path, traceless=traceless)}"
            # A run's writer compares rows that follow from others in its own thread, with a reader that no other uses.
            self.connection = sqlite3.connect(
                address, uri=True, timeout=10, isolation_level=None, check_same_thread=False
            )
            self.connection.execute("SELECT count(*) FROM meta").fetchone()
            self._refuse_others(path, older=older)

    def _refuse_others(self, path: Path, *, older: bool) -> None:
        try:
            refuse_newer(self.connection, path)
            if not older:
                refuse_older(self.connection, path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def meta(self, name: str) -> str | None:
        found = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        value = found[0] if found else None
        if value is None or isinstance(value, str):
            return value
        raise unreadable(f"what it says of `{name}`", "it is no text")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Inside, every query sees the checkpoint as it was at the first one."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    def state_mark(self) -> str:
        """Changes whenever a row or an attempt does."""
        rows = "count(*) || ' ' || coalesce(max(seen), 0) || ' ' || total(seen = 0) || ' ' || total(finished_at)"
        attempts = "count(*), coalesce(max(id), 0), total(posts), total(polls), total(superseded_at)"
        query = f"SELECT (SELECT {rows} FROM row), {attempts} FROM attempt"
        return " ".join(map(str, self.connection.execute(query).fetchone()))

    def has_attempts(self) -> bool:
        """True if anything was ever sent, or about to be."""
        return bool(self.connection.execute("SELECT EXISTS (SELECT 1 FROM attempt)").fetchone()[0])

    def never_sent(self) -> dict[str, int]:
        """Rows that failed although nothing was sent for them, by error class."""
        query = f"""SELECT coalesce(error_class, ''), count(*) FROM row WHERE outcome = 'failed' AND {PRESENT}
                   AND NOT EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id) GROUP BY 1"""
        return dict(self.connection.execute(query).fetchall())

    def count_in_flight(self) -> int:
        """Rows whose interaction is under way at the service."""
        query = f"""SELECT count(*) FROM attempt JOIN row ON row.id = row_id
                    WHERE state = 'submitted' AND {OPEN} AND superseded_at IS NULL AND {PRESENT}"""
        return self._count(query)

    def submitted_times(self) -> list[float]:
        """When each of the interactions under way was submitted, in Unix seconds."""
        query = f"SELECT submitted_at FROM attempt WHERE state = 'submitted' AND {OPEN} AND superseded_at IS NULL"
        return [at for (at,) in self.connection.execute(query)]

    def tokens_read(self, since: float) -> list[tuple[float, int, int | None]]:
        """The POSTs that were or may have been accepted since then, in their order: when, and the input tokens, as
        estimated and as counted by the service (None where it has not said so)."""
        read = token_count("total_input_tokens")
        query = f"""SELECT coalesce(submitted_at, intent_at) AS at, coalesce(tokens, 0), {read} FROM attempt
                    WHERE state NOT IN ('not_sent', 'refused') AND at >= ? ORDER BY at"""
        return self.connection.execute(query, (since,)).fetchall()

    def newest_in_flight(self, since: float, limit: int) -> list[AttemptRecord]:
        """The interactions under way that were submitted last, none before `since`."""
        query = f"""SELECT {_ATTEMPT}, NULL FROM attempt a JOIN row r ON r.id = a.row_id
                    WHERE a.state = 'submitted' AND a.superseded_at IS NULL AND a.submitted_at > ?
                    ORDER BY a.submitted_at DESC LIMIT ?"""
        return [_attempt(found) for found in self.connection.execute(query, (since, limit))]

    def charged(self, stage: str | None = None) -> int | None:
        """What counts against the limit in money of the job, or of a stage, in billionths of a dollar; None if there
        never was one."""
        of_stage = "" if stage is None else f" WHERE {_OF_STAGE}"
        found = self.connection.execute(f"SELECT sum(charge) FROM attempt{of_stage}", () if stage is None else (stage,))
        total: int | None = found.fetchone()[0]
        return total

    def set_aside(self, stage: str | None = None) -> dict[int, int]:
        """Of that what interactions under way may cost at most, by row id."""
        query = f"SELECT row_id, charge FROM attempt WHERE state = 'submitted' AND {OPEN} AND superseded_at IS NULL"
        of_stage = "" if stage is None else f" AND {_OF_STAGE}"
        found = self.connection.execute(query + of_stage, () if stage is None else (stage,))
        return {row_id: charge or 0 for row_id, charge in found}

    def uncharged(self, *, supposed: bool) -> Iterator[tuple[AttemptRecord, int, int]]:
        """The attempts that may have cost something and are charged with nothing yet, with their answers.

        With `supposed` also those that are charged with what they may have cost. Each comes with the input tokens that
        its request was estimated to read, and its charge.
        """
        query = f"""SELECT {_ATTEMPT}, a.raw, coalesce(a.tokens, 0), coalesce(a.charge, 0)
                    FROM attempt a JOIN row r ON r.id = a.row_id
                    WHERE a.state NOT IN ('refused', 'not_sent') AND (a.charge IS NULL OR (? AND a.usage IS NULL))
                    ORDER BY a.id"""
        for *found, tokens, charge in self.connection.execute(query, (supposed,)):
            yield _attempt(tuple(found)), tokens, charge

    def count_pending(self, limit: int | None = None) -> int:
        """Rows (of the first `limit`) without an outcome."""
        bound = 1 << 62 if limit is None else limit
        query = f"SELECT count(*) FROM row r WHERE r.outcome IS NULL AND {_CHOSEN} AND r.position < ?"
        return self._count(query, bound)

    def count_open(self) -> int:
        """Rows that may go on from what the service keeps: begun ones, plans that wait for approval, and in a job of
        stages that go on from others' interactions all that are pending."""
        query = f"""SELECT count(*) FROM row WHERE (outcome IS NULL OR outcome = 'awaiting_approval') AND {PRESENT}
                    AND ((outcome IS NULL AND ?) OR EXISTS
                         (SELECT 1 FROM attempt a WHERE a.row_id = row.id AND a.superseded_at IS NULL
                          AND a.interaction_id > ''))"""
        asked = json.loads(self.meta("request_parts") or "{}")
        return self._count(query, any(name.endswith(".continue") for name in asked if name.startswith("stages.")))

    def in_flight(self) -> Iterator[AttemptRecord]:
        """The attempts whose interactions are under way at the service, whichever rows the last run was about."""
        query = f"""SELECT {_ATTEMPT}, NULL FROM attempt a JOIN row r ON r.id = a.row_id
                    WHERE a.state = 'submitted' AND a.superseded_at IS NULL ORDER BY r.position"""
        return map(_attempt, self.connection.execute(query))

    def waiting(self) -> Iterator[RowRecord]:
        """Rows whose research plan waits for the user's word, in input order."""
        query = f"""SELECT {_ROW}, {_ATTEMPT}, a.raw FROM row r LEFT JOIN attempt a ON a.id = {_LAST}
                    WHERE r.outcome = 'awaiting_approval' AND r.{PRESENT} ORDER BY r.position"""
        return map(_row, self.connection.execute(query))

    def count_nameless(self) -> int:
        """POSTs of unknown fate: what they made at the service, if anything, has no id that we know."""
        query = f"SELECT count(*) FROM attempt WHERE state IN ('intent', 'ambiguous') AND {OPEN}"
        return self._count(query)

    def count_kept(self) -> int:
        """Interactions that the service may still keep, those under way left out."""
        return self._count(f"SELECT count(*) FROM attempt WHERE {_KEPT}")

    def count_purged(self) -> int:
        """Interactions that were deleted at the service."""
        query = "SELECT count(*) FROM attempt WHERE purged_at NOT NULL"
        return self._count(query)

    def kept(self) -> Iterator[AttemptRecord]:
        """The attempts that `count_kept` counts. Reads in pages, so they may be purged meanwhile."""
        query = f"""SELECT {_ATTEMPT}, NULL FROM attempt a JOIN row r ON r.id = a.row_id
                    WHERE {_KEPT} AND a.id > ? ORDER BY a.id LIMIT 256"""
        after = 0
        while page := self.connection.execute(query, (after,)).fetchall():
            after = page[-1][0]
            yield from map(_attempt, page)

    def rows(self, stage: str = "") -> Iterator[RowRecord]:
        """Every row of the input, or of a stage, in the order of the input, with its last attempt."""
        order = "r.position, length(r.key), r.key" if stage else "r.position"
        query = f"""SELECT {_ROW}, {_ATTEMPT}, a.raw FROM row r LEFT JOIN attempt a ON a.id = {_LAST}
                    WHERE r.{PRESENT} AND r.stage = ? ORDER BY {order}"""
        return map(self._with_earlier, map(_row, self.connection.execute(query, (stage,))))

    def _with_earlier(self, row: RowRecord) -> RowRecord:
        """The row with its earlier exchanges, which most rows do not have."""
        if row.attempt is None or row.attempt.exchange == 0:
            return row
        return replace(row, earlier=tuple(self.earlier(row.id, row.attempt.exchange)))

    def earlier(self, row_id: int, exchange: int) -> Iterator[AttemptRecord]:
        """A row's answered attempts at the exchanges before this one, with their answers."""
        query = f"""SELECT {_ATTEMPT}, a.raw FROM row r JOIN attempt a ON a.row_id = r.id
                    WHERE r.id = ? AND a.exchange < ? AND a.state = 'fetched' AND a.superseded_at IS NULL
                    ORDER BY a.exchange"""
        return map(_attempt, self.connection.execute(query, (row_id, exchange)))

    def live(self, row_id: int) -> Iterator[AttemptRecord]:
        """A row's live attempts in the order of their exchanges, with their answers."""
        query = f"""SELECT {_ATTEMPT}, a.raw FROM row r JOIN attempt a ON a.row_id = r.id
                    WHERE r.id = ? AND {live("a")} ORDER BY a.exchange"""
        return map(_attempt, self.connection.execute(query, (row_id,)))

    def tool_calls(self, attempt_id: int) -> Iterator[ToolCallRecord]:
        """The functions that were run, or begun, for an answer, in the order of its calls."""
        query = """SELECT position, call_id, name, ended_at, result, is_error, released FROM tool_call
                   WHERE attempt_id = ? ORDER BY position"""
        for position, call_id, name, ended_at, result, is_error, released in self.connection.execute(
            query, (attempt_id,)
        ):
            given = None if result is None else json.loads(result)
            yield ToolCallRecord(position, call_id, name, ended_at, given, bool(is_error), bool(released))

    def word(self, attempt_id: int) -> tuple[bool, str] | None:
        """Whether the user lets the plan in an attempt's answer go ahead, and what they said; None so far."""
        query = "SELECT go, text FROM word WHERE attempt_id = ?"
        found = self.connection.execute(query, (attempt_id,)).fetchone()
        return None if found is None else (bool(found[0]), found[1])

    def standing(self, key: str) -> tuple[str | None, str, str | None, bool] | None:
        """A row's outcome, input hash, the state of its last live attempt, and if it was ever sent; None if unknown."""
        query = f"""SELECT outcome, input_sha,
                    (SELECT state FROM attempt WHERE row_id = row.id AND {LIVE} ORDER BY exchange DESC LIMIT 1),
                    EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id) FROM row WHERE key = ?"""
        found: tuple[str | None, str, str | None, bool] | None = self.connection.execute(query, (key,)).fetchone()
        return found

    def sent(self) -> Iterator[tuple[str, str]]:
        """Rows of the input that were ever sent, or about to be: their keys and sources, in input order."""
        return self.connection.execute(
            f"""SELECT key, source FROM row WHERE {PRESENT} AND EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id)
                ORDER BY position"""
        )

    def row(self, key: str) -> RowRecord | None:
        query = f"SELECT {_ROW}, {_ATTEMPT}, a.raw FROM row r LEFT JOIN attempt a ON a.id = {_LAST} WHERE r.key = ?"
        found = self.connection.execute(query, (key,)).fetchone()
        return self._with_earlier(_row(found)) if found else None

    def attempts(self, key: str | None = None, *, raw: bool = False) -> Iterator[AttemptRecord]:
        """Every attempt (of one row), by input order and number; with the answer's bytes if asked for."""
        query = f"SELECT {_ATTEMPT}, {'a.raw' if raw else 'NULL'} FROM row r CROSS JOIN attempt a ON a.row_id = r.id"
        if key is not None:
            return map(_attempt, self.connection.execute(f"{query} WHERE r.key = ? ORDER BY a.number, a.id", (key,)))
        return map(_attempt, self.connection.execute(f"{query} ORDER BY r.position, a.number, a.id"))

    def row_of(self, row_id: int) -> RowRecord | None:
        """A row by its id, with the attempt that stands."""
        query = f"SELECT {_ROW}, {_ATTEMPT}, a.raw FROM row r LEFT JOIN attempt a ON {_LIVE_OF_ROW} WHERE r.id = ?"
        found = self.connection.execute(query, (row_id,)).fetchone()
        return None if found is None else _row(found)

    def last_reading(self) -> int:
        """The number of the last reading of the input."""
        return self._count(f"SELECT coalesce(({_LAST_PASS}), 0)")

    def newest_row(self) -> int:
        """The highest id of a row."""
        return self._count("SELECT coalesce(max(id), 0) FROM row")

    def pending(self, *, under_way: bool, limit: int | None = None) -> Iterator[RowRecord]:
        """Rows without an outcome: those a restarted run goes on with, or those not sent yet.

        `limit` bounds the input position, as the run's own limit does.
        """
        return self._under_way(limit) if under_way else self._not_sent(limit)

    def _under_way(self, limit: int | None) -> Iterator[RowRecord]:
        """The oldest POST first: its result expires first."""
        found = f"""FROM row r JOIN attempt a ON {_LIVE_OF_ROW}
                    WHERE r.outcome IS NULL AND a.state IN {_UNDER_WAY} AND"""
        ordered = f"""SELECT r.id {found} r.seen = ({_LAST_PASS}) AND r.position < ?
                      ORDER BY coalesce(a.submitted_at, a.intent_at), r.position"""
        one = f"SELECT {_ROW}, {_ATTEMPT}, a.raw {found} r.id = ?"
        for (row_id,) in self.connection.execute(ordered, (1 << 62 if limit is None else limit,)).fetchall():
            yield from map(_row, self.connection.execute(one, (row_id,)).fetchall())

    def _not_sent(self, limit: int | None) -> Iterator[RowRecord]:
        """In input order, read in pages: a consumer may take its time while rows ahead of it get their outcomes."""
        query = f"""SELECT {_ROW}, {_ATTEMPT}, a.raw FROM row r LEFT JOIN attempt a ON {_LIVE_OF_ROW}
                    WHERE r.outcome IS NULL AND a.id IS NULL AND r.seen = ?
                    AND (r.position, r.id) > (?, ?) AND r.position < ?
                    ORDER BY r.position, r.id LIMIT 64"""
        (last_pass,) = self.connection.execute(_LAST_PASS).fetchone()  # once: it is a scan, and would be one a page
        after, bound = (-1, 0), 1 << 62 if limit is None else limit
        while page := self.connection.execute(query, (last_pass, *after, bound)).fetchall():
            after = (page[-1][1], page[-1][0])
            yield from map(_row, page)

    def count_rows(self) -> int:
        """Rows that could be read."""
        return self._count("SELECT count(*) FROM row WHERE data NOT NULL")

    def failed_unsent(self, at: float) -> Iterator[tuple[str, str, str, str]]:
        """Rows that cannot be carried, and those that failed at this very time: key, source, error class, message."""
        query = f"""SELECT key, source, coalesce(error_class, ''), coalesce(error_message, '') FROM row WHERE {PRESENT}
                    AND outcome = 'failed' AND (rejected OR finished_at = ?) ORDER BY position, length(key), key"""
        yield from self.connection.execute(query, (at,))

    def count_input(self) -> tuple[int, int]:
        """The rows of the input that a job of stages has taken in, and how many of them are never carried."""
        query = f"SELECT count(DISTINCT position), total(rejected) FROM row WHERE {PRESENT}"
        rows, rejected = self.connection.execute(query).fetchone()
        return rows, int(rejected)

    def count_present(self, stage: str) -> int:
        """The rows of a stage, or of a job without any, that are in the outputs."""
        return self._count(f"SELECT count(*) FROM row WHERE {PRESENT} AND stage = ?", stage)

    def _count(self, query: str, *values: object) -> int:
        count: int = self.connection.execute(query, values).fetchone()[0]
        return count


def _mode(path: Path, *, traceless: bool = False) -> str:
    """Read-only. Where SQLite's helper files cannot be made, and no run has left any, as a file that never changes."""
    log = path.with_name(f"{path.name}-wal")
    left_behind = log.exists()
    if traceless:
        unsaved = left_behind and log.stat().st_size
        if unsaved and not path.with_name(f"{path.name}-shm").exists():
            raise StoreError(f"{path}: a copy of a run's files, unread: that would make a file. Try `batchrun status`.")
        return "mode=ro" if unsaved else "immutable=1"
    return "mode=ro" if left_behind or os.access(path.parent, os.W_OK) else "immutable=1"


def _row(values: tuple[Any, ...]) -> RowRecord:
    """Raises StoreError for values that were not written so."""
    row, attempt = values[:_ROW_FIELDS], values[_ROW_FIELDS:]
    try:
        data = None if row[5] is None else json.loads(row[5])
    except (ValueError, TypeError) as error:
        raise unreadable(f"the input of row {row[2]!r}", error) from None
    last = None if attempt[0] is None else _attempt(attempt)
    fields: list[Any] = [*row[:5], data, *row[6:-2], last, row[-2]]
    return replace(RowRecord(*fields), output=row[-1]) if row[-1] else RowRecord(*fields)


def _attempt(values: tuple[Any, ...]) -> AttemptRecord:
    """Raises StoreError for values that were not written so."""
    try:
        return _as_written(values)
    except (ValueError, TypeError, zlib.error) as error:
        raise unreadable(f"attempt {values[0]} of row {values[2]!r}", error) from None


def _as_written(values: tuple[Any, ...]) -> AttemptRecord:
    *plain, usage, files, raw = values
    plain[7], plain[12] = AttemptState(plain[7]), bool(plain[12])
    counted = None if usage is None else json.loads(usage)
    if not isinstance(counted, dict | None):
        raise ValueError("its usage is no object")
    listed = () if files is None else tuple(json.loads(files))
    came = None if raw is None else zlib.decompress(raw)
    doubted = plain[7] is AttemptState.AMBIGUOUS  # what came then is no answer
    fields: list[Any] = [*plain, counted, listed, *((None, came) if doubted else (came, None))]
    return AttemptRecord(*fields)
