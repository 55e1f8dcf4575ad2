"""Rows that follow from one that has ended, made in the transaction of its end: there is no moment without them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count

from batchrun.rows import Finish, InputRow, Outcome, key_of, key_within
from batchrun.spec.flow import FILTERED, Due, Ended, due, following, items, key_above, made_of
from batchrun.spec.graph import Graph
from batchrun.spec.stages import INPUT, STAGES
from batchrun.store.admission import Admission, Reading, met_at, repeats, take
from batchrun.store.amendment import NONE_OF_THEM, ask_anew
from batchrun.store.ended import ENDED, ended_of
from batchrun.store.grouping import Group, Groups
from batchrun.store.migrations import LIVE
from batchrun.store.store import end_row

_FIND = f"SELECT {ENDED} FROM row WHERE key = ? AND seen = ? AND outcome NOT NULL"
_ROW = "SELECT stage, key, position, source FROM row WHERE id = ?"
_STANDING = """SELECT outcome, error_class, rejected, EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id)
               FROM row WHERE id = ?"""
_IS_KNOWN = "SELECT 1 FROM row WHERE key = ? AND seen != 0"
_HAS_ENDED = "SELECT outcome NOT NULL FROM row WHERE key = ? AND seen = ?"
_PAID = f"""SELECT source FROM row WHERE key = ? AND seen != 0 AND outcome IS NOT 'skipped' AND NOT rejected
            AND EXISTS (SELECT 1 FROM attempt WHERE row_id = row.id AND {LIVE})"""
_END_AT_ONCE = """UPDATE row SET outcome = ?, error_class = ?, error_message = ?, finished_at = ?, output = NULL,
                  rejected = ? WHERE id = ? AND (outcome IS NOT ? OR error_message IS NOT ?)"""
_ACCEPT = "UPDATE row SET rejected = 0 WHERE id = ?"

#: A due row as one of the input is given, and how it ends at once if it does; it is told the row's source.
Make = Callable[[sqlite3.Connection, Due, str], tuple[InputRow, Finish | None]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of a stage that may be ready, with the place in the input of what it comes from; of a batch, a group."""

    stage: str
    key: str
    position: int
    source: str


class Waiting:
    """Candidates in the order of the stages: each is looked at once, when nothing above it is left to be made."""

    def __init__(self, graph: Graph) -> None:
        self._places = {name: place for place, name in enumerate(graph)}
        self._heap: list[tuple[int, int, Candidate]] = []
        self._known: set[tuple[str, str]] = set()
        self._numbers = count()

    def add(self, candidate: Candidate) -> None:
        if (candidate.stage, candidate.key) not in self._known:
            self._known.add((candidate.stage, candidate.key))
            heappush(self._heap, (self._places[candidate.stage], next(self._numbers), candidate))

    def pop(self) -> Candidate | None:
        if not self._heap:
            return None
        candidate = heappop(self._heap)[2]
        self._known.remove((candidate.stage, candidate.key))
        return candidate


@dataclass
class Following:
    """Makes what follows. `reading` is the pass over the input that the run goes by, `wall` Unix time; `found` counts
    what was made."""

    graph: Graph
    make: Make
    reading: Reading
    wall: Callable[[], float]
    found: Admission = field(default_factory=Admission)

    def __post_init__(self) -> None:
        self.groups = Groups(self.graph, self.reading.number)
        self._list: tuple[str, Ended] | None = None

    def after(self, db: sqlite3.Connection, row_id: int) -> list[int]:
        """Make all that can be made now that this row has ended, and what follows from rows that are skipped at once.

        Returns the ids of the rows among them that are pending.
        """
        self.reading = replace(self.reading, at=self.wall())
        return self.flow(db, [row_id])

    def flow(self, db: sqlite3.Connection, rows: Iterable[int], *, one_step: bool = False) -> list[int]:
        """The same for many rows. With `one_step` only what they themselves are needed for is made."""
        self._list = None
        pending: list[int] = []
        waiting = Waiting(self.graph)
        for ended in rows:
            self._look_below(db, ended, waiting, own=one_step)
        while (candidate := waiting.pop()) is not None:
            if (made := self._made(db, candidate)) is None:
                continue
            row_id, has_ended = made
            if not has_ended:
                pending.append(row_id)
            elif not one_step:
                self._look_below(db, row_id, waiting, own=False)
        return pending

    def _look_below(self, db: sqlite3.Connection, row_id: int, waiting: Waiting, *, own: bool) -> None:
        """What may follow from a row that has ended is to be looked at."""
        stage, key, position, source = db.execute(_ROW, (row_id,)).fetchone()
        if stage in self.graph.stages:  # what needs no more than the input has been made by `begin`
            keys = self._keys_below(db, stage, key_within(stage, key))
            for name, at in following(self.graph, stage, keys):
                waiting.add(Candidate(name, at, position, source))
        for group in self.groups.touched(db, stage, row_id, own=own):
            waiting.add(Candidate(group.stage, group.value, position, source))

    def _keys_below(self, db: sqlite3.Connection, stage: str, key: str) -> list[str]:
        """By what keys those below a stage know a row of it."""
        if not self.graph.stages[stage].explode:
            return [key]
        ended = self._found(db, stage, key)
        keys = [] if ended is None else [at for at, _ in items(self.graph, stage, key, ended)]
        self._withdraw_others(db, stage, key, keys)
        return keys

    def _made(self, db: sqlite3.Connection, candidate: Candidate) -> tuple[int, bool] | None:
        """The id of the row, and whether it has ended; None where it cannot be made yet."""
        if self.graph.stages[candidate.stage].batch is not None:
            return self._made_group(db, Group(candidate.stage, candidate.key))
        found = due(self.graph, candidate.stage, candidate.key, lambda name, at: self._found(db, name, at))
        if found is None:
            return None
        return self._met(db, *self.make(db, found, candidate.source), candidate.position, candidate.stage)

    def _found(self, db: sqlite3.Connection, stage: str, key: str) -> Ended | None:
        """A row that has ended, and that nothing above it will make another one. A list is read once for all items."""
        there = key_of(stage, key)
        if self._list is not None and self._list[0] == there:
            return self._list[1]
        values = db.execute(_FIND, (there, self.reading.number)).fetchone()
        found = ended_of(there, *values) if values is not None and self.settled(db, stage, key) else None
        if found is not None and self.graph.stages[stage].explode:
            self._list = there, found
        return found

    def is_followed(self, db: sqlite3.Connection, stage: str, key: str, row_id: int) -> bool:
        """Whether rows are known that followed from a row, or a group that it was in, when it last ended."""
        groups = (key_of(group.stage, group.value) for group in self.groups.touched(db, stage, row_id, own=True))
        names = [name for name in self.graph.after[stage] if self.graph.stages[name].batch is None]
        if self.graph.stages[stage].explode and any(self._items(db, name, key) for name in names):
            return True
        return any(db.execute(_IS_KNOWN, (at,)).fetchone() for at in (*groups, *(key_of(n, key) for n in names)))

    def begin(self, db: sqlite3.Connection, row: InputRow, position: int) -> None:
        """Take a row of the input in, at every stage that reads it."""
        at = met_at(db, key_of(self.graph.first, row.key), self.reading)
        if at is not None:
            self.found.duplicates.append(repeats(row, at))
            return
        if self.graph.keeps_input:
            self._keep(db, row, position)
        for stage in self.graph.after[INPUT]:
            if self.graph.stages[stage].batch is None:
                self._begin_at(db, stage, row, position)

    def _begin_at(self, db: sqlite3.Connection, stage: str, row: InputRow, position: int) -> None:
        if row.problem is not None or row.data is None:
            self._met(db, replace(row, key=key_of(stage, row.key)), None, position, stage)
        else:
            first = Due(stage, row.key, {**row.data, STAGES: {}})
            self._met(db, *self.make(db, first, row.source), position, stage)

    def _keep(self, db: sqlite3.Connection, row: InputRow, position: int) -> None:
        """A row of the input as one that has ended, for batches of such rows."""
        kept, end = replace(row, key=key_of(INPUT, row.key)), Finish(Outcome.SUCCEEDED)
        row_id = take(db, self.found, kept, position, self.reading, INPUT)
        self.groups.note(db, INPUT, row_id)
        if row.problem is None:
            end_row(db, row_id, end, self.reading.at, "null")

    def settled(self, db: sqlite3.Connection, stage: str, key: str) -> bool:
        """Whether all that a row was made of has ended for good: nothing above it is to be asked anew."""
        above = made_of(self.graph, stage, key)
        return all(self._has_ended(db, *row) for row in above) and not any(
            self._is_open(db, *row) for row in ((stage, key), *above)
        )

    def _has_ended(self, db: sqlite3.Connection, stage: str, key: str) -> bool | None:
        """None of a row that is not there."""
        found = db.execute(_HAS_ENDED, (key_of(stage, key), self.reading.number)).fetchone()
        return None if found is None else bool(found[0])

    def _is_open(self, db: sqlite3.Connection, stage: str, key: str) -> bool:
        """Whether it is a group that does not have all its rows yet."""
        return self.graph.stages[stage].batch is not None and self.groups.is_open(db, Group(stage, key))

    def _made_group(self, db: sqlite3.Connection, group: Group) -> tuple[int, bool] | None:
        """The row of a group, once it has all its rows."""
        if self.groups.is_open(db, group):
            return None
        found = self.groups.due(db, group)
        if found is None:
            self._withdraw(db, group.stage, group.value)
            return None
        made, position, source = found
        return self._met(db, *self.make(db, made, source), position, made.stage)

    def _met(
        self, db: sqlite3.Connection, row: InputRow, end: Finish | None, position: int, stage: str
    ) -> tuple[int, bool]:
        """Take a row in, new or known; returns its id, and whether it has ended."""
        reading = replace(self.reading, compare=lambda *_: None) if end else self.reading
        if end is not None:
            self._leave_out(db, row.key)
        row_id = take(db, self.found, row, position, reading, stage)
        self.groups.note(db, stage, row_id)
        if end is not None:
            ended = (end.outcome, end.kind, end.message, self.reading.at, row.problem is not None)
            db.execute(_END_AT_ONCE, (*ended, row_id, end.outcome, end.message))
            return row_id, True
        outcome, kind, rejected, sent = db.execute(_STANDING, (row_id,)).fetchone()
        was_refused = rejected and row.problem is None
        if was_refused or (outcome == Outcome.SKIPPED and kind != FILTERED):
            differs = self._first_changed(row) if sent else None
            ask_anew(db, row_id, NONE_OF_THEM if differs is None else differs, self.reading.at)
            db.execute(_ACCEPT, (row_id,))
            return row_id, False
        return row_id, outcome is not None

    def _first_changed(self, row: InputRow) -> int | None:
        compare = self.reading.compare
        return 0 if compare is None or row.data is None else compare(row.key, row.data)

    def _withdraw_others(self, db: sqlite3.Connection, stage: str, key: str, keys: Collection[str]) -> None:
        """Set aside the items of a row that was split otherwise before."""
        there = frozenset(keys)
        for name, at in self._below(db, stage, key):
            if at not in there:
                self._withdraw(db, name, at)

    def _below(self, db: sqlite3.Connection, stage: str, key: str) -> list[tuple[str, str]]:
        """The rows that follow from one, by stage and key, but for groups."""
        below = [name for name in self.graph.after[stage] if self.graph.stages[name].batch is None]
        split = self.graph.explodes(stage)
        return [(name, at) for name in below for at in (self._items(db, name, key) if split else [key])]

    def _items(self, db: sqlite3.Connection, stage: str, parent: str) -> list[str]:
        low, high = key_of(stage, f"{parent}/"), key_of(stage, f"{parent}0")  # "0" comes after "/"
        found = db.execute("SELECT key FROM row WHERE seen != 0 AND key > ? AND key < ?", (low, high)).fetchall()
        keys = (key_within(stage, at) for (at,) in found)
        return [key for key in keys if key.rpartition("/")[0] == parent]

    def _withdraw(self, db: sqlite3.Connection, stage: str, key: str) -> None:
        """Set a row aside with all that followed from it, as rows are that have left the input."""
        left, found = [(stage, key)], {(stage, key)}
        while left:
            name, at = left.pop()
            below = [row for row in self._below(db, name, at) if row not in found]  # where branches meet, once
            left += below
            found.update(below)
            self._leave_out(db, key_of(name, at))
            db.execute("UPDATE row SET seen = 0 WHERE key = ?", (key_of(name, at),))

    def _leave_out(self, db: sqlite3.Connection, key: str) -> None:
        """A row leaves the results: what was paid for it is told as gone."""
        found = db.execute(_PAID, (key,)).fetchone()
        if found is not None:
            self.found.gone.append((key, found[0]))

    def may_come(self, db: sqlite3.Connection, stage: str, key: str, waiting: Collection[str]) -> bool:
        """Whether a row that was not met may follow yet: from rows that have not ended, or are `waiting` themselves."""
        if self.graph.stages[stage].batch is not None:
            return self.groups.is_open(db, Group(stage, key))
        found = [self._standing(db, need, key, waiting) for need in self.graph.before(stage)]
        return None not in found and False in found

    def _standing(self, db: sqlite3.Connection, need: str, key: str, waiting: Collection[str]) -> bool | None:
        """Whether what a row is made of has ended; None where it is there no more."""
        if need == INPUT:
            return None
        at = key_above(self.graph, need, key)
        return False if key_of(need, at) in waiting else self._has_ended(db, need, at)
