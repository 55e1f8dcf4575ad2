"""Groups of rows: when a group has all its rows, and what they are. The tables themselves tell, by an index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from batchrun.rows import Finish, Outcome, key_within
from batchrun.spec.flow import LEFT_OUT, UPSTREAM_FAILED, UPSTREAM_HELD, Due, Ended, How, items, joined
from batchrun.spec.graph import Graph
from batchrun.spec.stages import INPUT, ROWS, STAGES
from batchrun.store.ended import ENDED, ended_of

#: Of a row that could not be read, and of what follows from it, nobody knows the group.
_UNKNOWN = f"data IS NULL OR (data = '{{}}' AND stage != '{INPUT}')"
#: A value as JSON, which no function of SQLite before 3.38 gives: asked for twice, it comes as `[value,value]`.
_TWICE = "json_extract(data, ?1, ?1)"
_JSON = f"substr({_TWICE}, 2, (length({_TWICE}) - 3) / 2)"
#: The text of a value: of a string itself, of all else its JSON, in which no two numbers are the same. SQLite ends a
#: string at a NUL, so one with a NUL stays JSON.
_VALUE = f"""iif({_UNKNOWN}, NULL, iif(json_type(data, ?1) = 'text' AND NOT instr({_JSON}, '\\u0000'),
             json_extract(data, ?1), {_JSON}))"""
#: The key of the only group where all rows are one.
ALL = "all"


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a stage, by the text of its rows' value."""

    stage: str
    value: str


@dataclass
class _Members:
    """What the rows of a group come to together."""

    count: int = 0
    first: tuple[int, str, dict[str, Any]] | None = None
    why: dict[How, str] = field(default_factory=dict)
    sha: Any = field(default_factory=sha256)


class Groups:
    """The groups of a job's stages, among the rows that the reading of this number has met."""

    def __init__(self, graph: Graph, reading: int) -> None:
        self._graph, self._reading = graph, reading
        self._batches = tuple(name for name in graph if graph.stages[name].batch is not None)
        self._columns = {by: self._path(name) for name in self._batches if (by := self._by(name))}
        self._members = {stage for name in self._batches for stage in self._ahead(name)}

    def prepare(self, db: sqlite3.Connection) -> None:
        """Let the database find a group's rows without looking at all rows: the value of each row has a column.

        It is no index of an expression, which is code, and a checkpoint is trusted with none.
        """
        known = {name for _, name, *_ in db.execute("PRAGMA table_info(row)")}
        members = tuple(self._members)
        for by in self._columns:
            if by not in known:
                db.execute(f"ALTER TABLE row ADD COLUMN {by} TEXT")
            db.execute(f"CREATE INDEX IF NOT EXISTS row_{by} ON row ({by}, stage, outcome)")
            unfilled = f"UPDATE row SET {by} = {_VALUE} WHERE {by} IS NULL AND stage IN ({_marks(members)})"
            db.execute(unfilled, (self._columns[by], *members))  # of rows that came before any batch asked for them
        if any(self._by(name) is None for name in self._batches):
            db.execute("CREATE INDEX IF NOT EXISTS row_stage ON row (stage, outcome)")

    def note(self, db: sqlite3.Connection, stage: str, row_id: int) -> None:
        """Note the values by which a row is grouped."""
        for by, path in self._columns.items() if stage in self._members else ():
            db.execute(f"UPDATE row SET {by} = {_VALUE} WHERE id = ?2", (path, row_id))

    def touched(self, db: sqlite3.Connection, stage: str, row_id: int, *, own: bool = False) -> Iterator[Group]:
        """The groups that may have waited for this row; if `own`, only those that it is a row of."""
        for name in self._batches:
            if stage == self._need(name) or (stage in self._ahead(name) and not own):
                value = self._by(name) or f"'{ALL}'"
                (found,) = db.execute(f"SELECT {value} FROM row WHERE id = ?", (row_id,)).fetchone()
                if found is not None:  # of a row that could not be read nobody knows the group
                    yield Group(name, found)

    def is_open(self, db: sqlite3.Connection, group: Group) -> bool:
        """Whether a row that may belong to it has not ended."""
        ahead, is_in = self._ahead(group.stage), self._is_in(group)
        query = f"""SELECT EXISTS (SELECT 1 FROM row WHERE {is_in} AND outcome IS NULL
                    AND stage IN ({_marks(ahead)}) AND seen = ?)"""
        return bool(db.execute(query, (group.value, *ahead, self._reading)).fetchone()[0])

    def due(self, db: sqlite3.Connection, group: Group) -> tuple[Due, int, str] | None:
        """The row of a group that has all its rows, with the position and source of the first; None if it has none.

        It holds their number and a hash of all that they are, not themselves: see `members`.
        """
        found = self._summed(db, group)
        batch = self._graph.stages[group.stage].batch
        if found.first is None or batch is None or not (found.count or found.why):
            return None
        position, source, data = found.first
        column = {batch.by: data.get(batch.by)} if batch.by else {}
        rows = {"count": found.count, "sha": found.sha.hexdigest()[:32]}
        end = None
        if How.HELD in found.why:  # it may be in the group yet
            end = Finish(Outcome.SKIPPED, UPSTREAM_HELD, found.why[How.HELD])
        elif How.FAILED in found.why and (batch.failed == "skip" or not found.count):
            end = Finish(Outcome.SKIPPED, UPSTREAM_FAILED, found.why[How.FAILED])
        elif not found.count:
            end = Finish(Outcome.SKIPPED, LEFT_OUT, found.why[How.LEFT_OUT])
        return Due(group.stage, group.value, {**column, ROWS: rows, STAGES: {}}, end), position, source

    def members(self, db: sqlite3.Connection, group: Group) -> Iterator[dict[str, Any]]:
        """The rows of a group as templates see them, in the order of the input: their columns, `key`, and `stages`."""
        need = self._need(group.stage)
        for key, _, _, _, ended in self._rows(db, group):
            for name, item in self._items(need, key_within(need, key), ended):
                yield {"key": name, **joined(self._graph, group.stage, {need: item})}

    def _summed(self, db: sqlite3.Connection, group: Group) -> _Members:
        found = _Members()
        for key, position, source, sha, ended in self._rows(db, group):
            found.first = found.first or (position, source, dict(ended.data))
            if ended.how is How.SUCCEEDED:
                found.count += len(self._items(self._need(group.stage), key, ended))
                told = json.dumps([key, sha, ended.output])
                found.sha.update(told.encode())
            else:
                found.why.setdefault(ended.how, ended.why)
        return found

    def _items(self, need: str, key: str, ended: Ended) -> Sequence[tuple[str, Ended]]:
        return items(self._graph, need, key, ended) if ended.how is How.SUCCEEDED else ()

    def _rows(self, db: sqlite3.Connection, group: Group) -> Iterator[tuple[str, int, str, str, Ended]]:
        is_in = self._is_in(group)
        query = f"""SELECT key, position, source, input_sha, {ENDED} FROM row WHERE {is_in}
                    AND stage = ? AND seen = ? AND outcome NOT NULL ORDER BY position, length(key), key"""
        for key, position, source, sha, *ended in db.execute(
            query, (group.value, self._need(group.stage), self._reading)
        ):
            yield key, position, source, sha, ended_of(key, *ended)

    def _need(self, name: str) -> str:
        (need,) = self._graph.before(name)
        return need

    def _ahead(self, name: str) -> tuple[str, ...]:
        need = self._need(name)
        return (*self._graph.above(need), need)

    def _is_in(self, group: Group) -> str:
        by = self._by(group.stage)
        return "? NOT NULL" if by is None else f"{by} = ?"

    def _by(self, name: str) -> str | None:
        """The column of the table with the group of each row, None where all rows are one group."""
        batch = self._graph.stages[name].batch
        if batch is None or batch.by is None:
            return None
        return f"by_{sha256(batch.by.encode()).hexdigest()[:12]}"

    def _path(self, name: str) -> str:
        batch = self._graph.stages[name].batch
        return (
            f"$.{json.dumps(batch.by, ensure_ascii=False)}" if batch else ""
        )  # SQLite compares names as JSON has them


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
