"""Whether a checkpoint can be believed: SQLite keeps no checksums, and one flipped bit may make a paid row look unsent.

What matters for money is written twice: in tables and their indexes, in the checkpoint and its ledger. They are set
side by side before anything is sent, without reading the answers.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from batchrun.errors import StoreError
from batchrun.rows import Outcome
from batchrun.store.damage import damaged, explained
from batchrun.store.ledger import Faults, numbered
from batchrun.store.migrations import LIVE
from batchrun.store.reader import Reader
from batchrun.store.records import FREE, AttemptState

_INDEXES = (
    ("attempt", "attempt_row", "row_id, number, id", "1"),
    ("attempt", "one_live_attempt", "row_id, exchange, id", LIVE),
    ("row", "row_position", "position, id", "1"),
    ("row", "row_pending", "position, id", "outcome IS NULL"),
)


#: More calls for one attempt than anybody makes.
_MOST = 10**12


def _listed(values: type[Outcome] | type[AttemptState]) -> str:
    return ", ".join(f"'{value}'" for value in values)


_VALUES = (
    ("an attempt has a state that is none", f"SELECT 1 FROM attempt WHERE state NOT IN ({_listed(AttemptState)})"),
    ("a row has an outcome that is none", f"SELECT 1 FROM row WHERE outcome NOT IN ({_listed(Outcome)})"),
    ("a row is over without an end", "SELECT 1 FROM row WHERE (outcome IS NULL) != (finished_at IS NULL)"),
    (
        "an attempt was replaced by nobody",
        "SELECT 1 FROM attempt WHERE (superseded_at IS NULL) != (superseded_by IS NULL)",
    ),
    (
        "an attempt has a number of calls that is none",
        f"""SELECT 1 FROM attempt WHERE typeof(posts) || typeof(polls) != 'integerinteger'
            OR max(posts, polls) > {_MOST}""",
    ),
    (
        "the number of the run's lives is none",
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name = 'epoch' AND value NOT GLOB '*[^0-9]*')",
    ),
    (
        "the number of the ledger's last line is none",
        "SELECT 1 FROM meta WHERE name = 'ledger' AND value GLOB '*[^0-9]*'",
    ),
    (
        "a row's key leads elsewhere",
        """SELECT 1 FROM row a NOT INDEXED WHERE NOT EXISTS
           (SELECT 1 FROM row b INDEXED BY sqlite_autoindex_row_1 WHERE b.key = a.key AND b.id = a.id)""",
    ),
)


def refuse_distrusted(db: sqlite3.Connection, path: Path, ledger: Path) -> None:
    """Raises StoreError if the checkpoint at `path` contradicts itself or its ledger."""
    said = next(contradictions(db, ledger), None)
    if said is not None:
        raise damaged(path, f"{said}. Nothing was sent")


def is_sound(path: Path, ledger: Path) -> bool:
    """Whether a checkpoint can be believed and read, every value of it."""
    try:
        with closing(sqlite3.connect(path)) as db:
            whole = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            sound = whole and next(contradictions(db, ledger), None) is None
        with explained(path), Reader(path, older=True) as reader:
            for _ in chain(reader.rows(), reader.attempts(raw=True)) if sound else ():
                pass
            _read_meta(reader)
    except (sqlite3.Error, StoreError):
        return False
    return sound


def _read_meta(reader: Reader) -> None:
    """As those do who look at a run; raises what they would."""
    float(reader.meta("retention") or 0)
    for name in ("limits", "request_parts", "request_values"):
        json.loads(reader.meta(name) or "{}").items()


def contradictions(db: sqlite3.Connection, ledger: Path) -> Iterator[str]:
    """What cannot be true of a checkpoint that is as it was written, in words; SQLite's own complaints too."""
    try:
        yield from _in_tables(db)
        if ledger.exists():
            yield from _with_ledger(db, ledger)
    except (sqlite3.Error, OverflowError, TypeError) as error:
        yield str(error)


def _in_tables(db: sqlite3.Connection) -> Iterator[str]:
    for table, index, columns, condition in _INDEXES:
        sums = ", ".join(f"total({column})" for column in columns.split(", "))
        query = f"SELECT count(*), {sums} FROM {table} {{}} WHERE {condition}"
        by_table = db.execute(query.format("NOT INDEXED")).fetchone()
        if by_table != db.execute(query.format(f"INDEXED BY {index}")).fetchone():
            yield f"the index {index} and its table differ"
    for said, query in _VALUES:
        if db.execute(f"{query} LIMIT 1").fetchone():
            yield said


class _Facts:
    """What the ledger says of each attempt, as two checksums: its intent, and its id or that it was free.

    `faults` counts what of it cannot be read or is gone.
    """

    def __init__(self) -> None:
        self.intents, self.ends = array("q"), array("q")
        self.last = 0
        self.faults = Faults()
        self.run_id: str | None = None

    def take(self, entry: list[Any] | None, told: int) -> None:
        """Take in a line of the ledger, unless the checkpoint was not told so much."""
        self.faults.take(entry)
        if entry is None:
            return
        self.last = max(self.last, entry[0])
        if entry[0] <= told:
            self._take(*entry[1:])

    def _take(self, kind: str, *values: Any) -> None:
        if kind == "run":
            self.run_id = values[0]
            return
        attempt_id, *fields = values
        if attempt_id >= len(self.intents):
            for facts in (self.intents, self.ends):
                facts.frombytes(bytes(8 * (attempt_id + 1 - len(facts))))
        if kind == "intent":
            self.intents[attempt_id], self.ends[attempt_id] = _intent(*fields[:5], fields[6]), 0
        else:
            self.ends[attempt_id] = _mark(kind, *fields[:1])

    def of(self, attempt_id: int) -> tuple[int, int]:
        """Its two checksums, 0 for what is not told."""
        known = 0 <= attempt_id < len(self.intents)
        return (self.intents[attempt_id], self.ends[attempt_id]) if known else (0, 0)

    @property
    def count(self) -> int:
        return len(self.intents) - self.intents.count(0)


def _with_ledger(db: sqlite3.Connection, ledger: Path) -> Iterator[str]:
    facts = _Facts()
    (told,) = db.execute("SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = 'ledger'").fetchone()
    for entry in numbered(ledger):
        facts.take(entry, told)
    run_id = db.execute("SELECT max(value) FROM meta WHERE name = 'run_id'").fetchone()[0]
    if facts.run_id is not None and facts.run_id != run_id:
        yield f"its run is {run_id}, and that of {ledger.name} {facts.run_id}"
    found = untold = 0
    query = """SELECT a.id, key, number, exchange, turn, request_sha, agent, state, interaction_id
               FROM attempt a NOT INDEXED LEFT JOIN row ON row.id = a.row_id"""
    for attempt_id, *asked, state, interaction_id in db.execute(query):
        here = _intent(*asked), _end(state, interaction_id)
        there = facts.of(attempt_id)
        found += there[0] != 0
        if here == there:
            continue
        later = [a != b and b in _BEFORE for a, b in zip(here, there, strict=True)]
        untold += sum(later)
        if any(a != b and not late for a, b, late in zip(here, there, later, strict=True)):
            yield f"attempt {attempt_id} of row {asked[0]!r} is not what {ledger.name} says"
    if found != facts.count:
        yield f"{facts.count - found} attempts of {ledger.name} are gone"
    if untold > max(0, told - facts.last) and told <= facts.last and not facts.faults.count:
        yield f"{untold} attempts are not in {ledger.name}"


def _intent(*asked: Any) -> int:
    return _mark("intent", *asked[:5], bool(asked[5]))


def _end(state: str, interaction_id: str | None) -> int:
    if interaction_id:
        return _mark("id", interaction_id)
    return _mark("free") if state in FREE else 0


def _mark(*values: Any) -> int:
    """The same for the same values in this process; never 0."""
    return hash(values) or 1


#: What the ledger may still say of an attempt when the next event of it is not told yet.
_BEFORE = (0, _mark("free"))
