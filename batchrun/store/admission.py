"""Taking the input's rows into the checkpoint, in one transaction: either the run knows all of them or none.

Rows are matched by key, so an input may grow between two runs. A row that was already sent never changes under its
results: the run refuses, says which rows differ, and nothing is sent.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from batchrun.errors import SpecError
from batchrun.rows import InputRow, Outcome
from batchrun.store.store import Store

_FIND = """SELECT id, input_sha, seen, EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id), source
           FROM row WHERE key = ?"""
_INSERT = """INSERT INTO row (key, position, source, input_sha, data, rejected, outcome, error_class,
             error_message, finished_at, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SHOWN = 5


@dataclass
class Admission:
    """What one reading of the input found. Counts are rows; `duplicates`, `changed` and `gone` hold messages."""

    new: int = 0
    same: int = 0
    duplicates: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def admit(store: Store, rows: Iterable[InputRow], at: float, *, named: bool, complete: bool) -> Admission:
    """Store `rows` as pending (or failed, where they cannot be read) and say what is new.

    `named` is False where keys are content hashes: then an equal row is another row, numbered by its occurrence.
    `complete` is False where a limit cut the input short, so that missing rows prove nothing.
    Raises SpecError, with the checkpoint unchanged, if keys repeat or rows that were sent have changed or are gone.
    """
    db, found = store.connection, Admission()
    with store.db.atomic():
        this_pass = db.execute("SELECT coalesce(max(seen), 0) + 1 FROM row").fetchone()[0]
        rows, repeated = iter(rows), dict[str, int]()
        rest = _pass_over(db, found, rows, this_pass, None if named else repeated)
        for position, row in enumerate(rest if named else _numbered(db, rest, this_pass, repeated), found.same):
            _admit_one(db, found, row, position, this_pass, at)
        if complete:
            _drop_gone(db, found, this_pass)
        _refuse_bad(store, found)
    return found


def _pass_over(
    db: sqlite3.Connection, found: Admission, rows: Iterator[InputRow], this_pass: int, repeated: dict[str, int] | None
) -> Iterator[InputRow]:
    """Go past the rows that stand where they stood, in a fraction of the time that looking for each takes.

    Returns what is left. Where keys are numbered, `repeated` gets the numbers given so far. Nothing is passed over
    where two rows share a position (a limit once cut a reordered input short): their order proves nothing.
    """
    left: Iterator[InputRow] = rows
    if db.execute("SELECT count(*) != count(DISTINCT position) FROM row").fetchone()[0]:
        return left
    known = db.execute("SELECT position, key, input_sha, source FROM row ORDER BY position")
    for row in rows:
        if not _stands(known.fetchone(), row, found.same, repeated):
            left = chain([row], rows)
            break
        found.same += 1
    known.close()
    db.execute("UPDATE row SET seen = ? WHERE position < ?", (this_pass, found.same))
    return left


def _stands(
    known: tuple[int, str, str, str] | None, row: InputRow, position: int, repeated: dict[str, int] | None
) -> bool:
    """True if `known` is this row at this position; then a numbered key's number goes into `repeated`."""
    if known is None or (known[0], known[2], known[3]) != (position, row.sha, row.source):
        return False
    if known[1] == row.key:
        return True
    stem, _, number = known[1].rpartition("-")
    if repeated is None or stem != row.key or not number.isdecimal():
        return False
    repeated[row.key] = int(number)
    return True


def _numbered(
    db: sqlite3.Connection, rows: Iterable[InputRow], this_pass: int, repeated: dict[str, int]
) -> Iterator[InputRow]:
    """Content keys made unique: the second equal row gets `-2`, and so on. `repeated` remembers repeated rows only."""
    for row in rows:
        known = repeated.get(row.key) or _seen(db, row.key, this_pass)
        if known:
            repeated[row.key] = known + 1
        yield replace(row, key=f"{row.key}-{known + 1}") if known else row


def _seen(db: sqlite3.Connection, key: str, this_pass: int) -> int:
    return db.execute("SELECT count(*) FROM row WHERE key = ? AND seen = ?", (key, this_pass)).fetchone()[0]  # type: ignore[no-any-return]


def _admit_one(
    db: sqlite3.Connection, found: Admission, row: InputRow, position: int, this_pass: int, at: float
) -> None:
    known = db.execute(_FIND, (row.key,)).fetchone()
    if known is None:
        db.execute(_INSERT, _values(row, position, this_pass, at))
        found.new += 1
        return
    row_id, sha, seen, sent, source = known
    if seen == this_pass:
        found.duplicates.append(f"{row.source}: key {row.key!r} is already used at {source}")
    elif sha == row.sha:
        moved = "UPDATE row SET position = ?, source = ?, seen = ? WHERE id = ?"
        db.execute(moved, (position, row.source, this_pass, row_id))
        found.same += 1
    elif sent:
        db.execute("UPDATE row SET seen = ? WHERE id = ?", (this_pass, row_id))
        found.changed.append(f"{row.source}: key {row.key!r}")
    else:
        db.execute("DELETE FROM row WHERE id = ?", (row_id,))
        db.execute(_INSERT, _values(row, position, this_pass, at))
        found.new += 1


def _values(row: InputRow, position: int, this_pass: int, at: float) -> tuple[object, ...]:
    data = None if row.data is None else json.dumps(row.data, ensure_ascii=False, separators=(",", ":"))
    head = (row.key, position, row.source, row.sha, data, row.problem is not None)
    if row.problem is None:
        return (*head, None, None, None, None, this_pass)
    return (*head, Outcome.FAILED.value, row.problem.kind, row.problem.message, at, this_pass)


def _drop_gone(db: sqlite3.Connection, found: Admission, this_pass: int) -> None:
    sent = "EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id)"
    db.execute(f"DELETE FROM row WHERE seen != ? AND NOT {sent}", (this_pass,))
    left = db.execute("SELECT source, key FROM row WHERE seen != ?", (this_pass,))
    found.gone += [f"{source}: key {key!r}" for source, key in left]


def _refuse_bad(store: Store, found: Admission) -> None:
    if found.duplicates:
        raise SpecError(
            f"{len(found.duplicates)} rows repeat a key; nothing was sent.\n{_some(found.duplicates)}\n"
            "Give each row a key of its own, or leave out `input.key`."
        )
    if found.changed or found.gone:
        raise SpecError(
            f"The input has changed since this run began: {found.same} rows are the same, {found.new} new, "
            f"{len(found.changed)} changed, {len(found.gone)} gone; nothing was sent.\n"
            f"{_some([*found.changed, *found.gone])}\n"
            f"Restore the input, or start a run of its own with `--run-dir` (now: {store.path.parent})."
        )


def _some(messages: list[str]) -> str:
    more = len(messages) - _SHOWN
    return "\n".join(f"  {message}" for message in messages[:_SHOWN]) + (f"\n  … and {more} more" if more > 0 else "")
