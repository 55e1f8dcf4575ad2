"""Rows that follow from one that has ended, made in the transaction of its end: there is no moment without them."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from batchrun.rows import InputRow, Outcome
from batchrun.spec.flow import Due, Ended, How, following
from batchrun.spec.graph import Graph
from batchrun.store.admission import Admission, Reading, admit_one
from batchrun.store.amendment import ask_anew

_ENDED = "SELECT data, output, outcome, error_message FROM row WHERE key = ? AND seen != 0 AND outcome NOT NULL"
_ROW = "SELECT stage, key, position, source FROM row WHERE id = ?"
_FOLLOWER = "SELECT id, outcome FROM row WHERE key = ?"
_SKIP = "UPDATE row SET outcome = 'skipped', error_class = 'skipped', error_message = ?, finished_at = ? WHERE id = ?"


def key_of(stage: str, key: str) -> str:
    """The key of a stage's row in the checkpoint."""
    return f"{stage}:{key}"


def key_within(stage: str, key: str) -> str:
    """A row's key without the name of its stage."""
    return key[len(stage) + 1 :] if stage else key


@dataclass
class Following:
    """Makes what follows. `made` gives a due row as one of the input is given: judged by its stage's `when`.

    `reading` is the pass over the input that the run goes by. `new` are the ids of rows made pending since then.
    """

    graph: Graph
    made: Callable[[Due, str], tuple[InputRow, str]]
    reading: Reading
    found: Admission = field(default_factory=Admission)
    new: deque[int] = field(default_factory=deque)

    def after(self, db: sqlite3.Connection, row_id: int) -> None:
        """All that can be made now that this row has ended, and what follows from rows that are skipped at once."""
        ended = deque([row_id])
        while ended:
            stage, key, position, source = db.execute(_ROW, (ended.popleft(),)).fetchone()
            for due in self._due(db, stage, key_within(stage, key)):
                row, why = self.made(due, source)
                admit_one(db, self.found, row, position, self.reading, stage=due.stage)
                follower, outcome = db.execute(_FOLLOWER, (row.key,)).fetchone()
                if why and outcome != Outcome.SKIPPED:
                    ask_anew(db, follower, 0, self.reading.at)
                    outcome = Outcome.SKIPPED
                    db.execute(_SKIP, (why, self.reading.at, follower))
                if outcome is None:
                    self.new.append(follower)
                else:
                    ended.append(follower)

    def _due(self, db: sqlite3.Connection, stage: str, key: str) -> Iterator[Due]:
        def find(name: str, at: str) -> Ended | None:
            values = db.execute(_ENDED, (key_of(name, at),)).fetchone()
            return None if values is None else _ended(*values)

        this = find(stage, key)
        assert this is not None
        return following(self.graph, stage, key, this, find)


def _ended(data: str | None, output: str | None, outcome: str, why: str | None) -> Ended:
    how: dict[str, How] = {Outcome.SUCCEEDED: "succeeded", Outcome.SKIPPED: "skipped"}
    given = None if output is None else json.loads(output)
    return Ended(how.get(outcome, "failed"), json.loads(data or "{}"), given, why or "")
