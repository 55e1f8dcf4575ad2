"""Taking the input's rows into the checkpoint, in one transaction: either the run knows all of them or none.

Rows are matched by key, so an input may grow between two runs. A row that was already sent never changes under its
results: the run refuses, says which rows differ, and nothing is sent.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from batchrun.errors import SpecError
from batchrun.rows import InputRow, Outcome
from batchrun.store.store import Store

_FIND = """SELECT id, input_sha, seen, position, EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id), source
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
        for position, row in enumerate(rows if named else _numbered(db, rows, this_pass)):
            _admit_one(db, found, row, position, this_pass, at)
        if complete:
            _drop_gone(db, found, this_pass)
        _refuse_bad(store, found)
    return found


def _numbered(db: sqlite3.Connection, rows: Iterable[InputRow], this_pass: int) -> Iterator[InputRow]:
    """Content keys made unique: the second equal row gets `-2`, and so on. Remembers repeated rows only."""
    repeated: dict[str, int] = {}
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
    row_id, sha, seen, old_position, sent, source = known
    if seen == this_pass:
        found.duplicates.append(f"{row.source}: key {row.key!r} is already used at {source}")
    elif sha == row.sha:
        if (old_position, seen) != (position, this_pass):
            db.execute("UPDATE row SET position = ?, seen = ? WHERE id = ?", (position, this_pass, row_id))
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
