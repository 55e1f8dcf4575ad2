"""How the rows of a job of stages follow from one another: judged by the job, made by `store/following.py`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.errors import RowError
from batchrun.rows import Finish, InputRow, Outcome, Problem, key_of, key_within
from batchrun.runs.comparison import Shown
from batchrun.spec.canonical import sha256_of
from batchrun.spec.flow import LEFT_OUT, Due
from batchrun.spec.graph import Graph
from batchrun.spec.load import Job
from batchrun.spec.stages import ROWS
from batchrun.store.admission import Reading
from batchrun.store.following import Following
from batchrun.store.grouping import Group, Groups
from batchrun.store.store import end_row
from batchrun.tools.transforms import Given, Transformed, transformed, transformed_within


@dataclass(frozen=True)
class Pipeline:
    """A job's stages, and the rows among them that the reading of the input by this number has met."""

    job: Job
    graph: Graph
    following: Following

    @classmethod
    def of(cls, job: Job, reading: Reading, wall: Callable[[], float]) -> Pipeline:
        """That of a job that has stages."""
        assert job.graph is not None

        def make(db: sqlite3.Connection, due: Due, source: str) -> tuple[InputRow, Finish | None]:
            return made(job, due, source, lambda: list(following.groups.members(db, Group(due.stage, due.key))))

        following = Following(job.graph, make, reading, wall)
        return cls(job, job.graph, following)

    def showing(self, db: sqlite3.Connection) -> Shown:
        """What gives what the templates of its rows find."""
        return showing(self.graph, self.following.reading.number, db)

    def given(self, key: str, data: Mapping[str, Any], db: sqlite3.Connection) -> Given:
        """What a row's transform is given: its data, or the rows of a batch, which are read as it takes them."""
        group = _group(self.graph, key)
        return dict(data) if group is None else self.following.groups.members(db, group)

    def transformed(self, key: str, given: Given) -> Transformed:
        """What the transform of a row's stage makes of it."""
        stage = self.job.of(key.partition(":")[0])
        assert stage.transform is not None
        assert stage.stage_spec is not None
        return transformed(stage.transform, given, explode=stage.stage_spec.explode)

    def transform(self, db: sqlite3.Connection, row_id: int, at: float) -> None:
        """Run the transform of a row here and now, and end the row, in the caller's transaction."""
        key, data = db.execute("SELECT key, data FROM row WHERE id = ?", (row_id,)).fetchone()
        stage = self.job.of(key.partition(":")[0])
        assert stage.transform is not None
        assert stage.stage_spec is not None
        given, spec = self.given(key, json.loads(data or "{}"), db), stage.stage_spec
        end, output = transformed_within(stage.transform, given, explode=spec.explode, seconds=spec.timeout)
        end_row(db, row_id, end, at, output)

    def settled(self, stage: str, key: str, db: sqlite3.Connection) -> bool:
        """Whether all that a row was made of has ended for good."""
        return self.following.settled(db, stage, key_within(stage, key))


def showing(graph: Graph, reading: int, db: sqlite3.Connection) -> Shown:
    """What gives what the templates of a row find: its data, and of a batch its rows, as a reading has met them."""
    groups = Groups(graph, reading)

    def shown(key: str, data: Mapping[str, Any]) -> dict[str, Any]:
        group = _group(graph, key)
        return dict(data) if group is None else {**data, ROWS: list(groups.members(db, group))}

    return shown


def _group(graph: Graph, key: str) -> Group | None:
    """The group that the row with this key of the checkpoint is, None for a row of its own."""
    stage, _, value = key.partition(":")
    return None if graph.stages[stage].batch is None else Group(stage, value)


def made(
    job: Job, due: Due, source: str, members: Callable[[], list[dict[str, Any]]]
) -> tuple[InputRow, Finish | None]:
    """A row that is due, judged by its stage's `when`: as a row of the input is given, and how it ends at once.

    `members` gives the rows of a batch, which are read only if the condition wants them.
    """
    key = key_of(due.stage, due.key)
    try:
        sha = sha256_of(due.data)
    except (ValueError, RecursionError) as error:  # half of a surrogate pair, in an answer that was kept as it came
        problem = Problem("not_sendable", f"what {key} is made of cannot be written as JSON: {error}")
        return InputRow(key, source, sha256_of(key), None, problem), None
    row, when = InputRow(key, source, sha, due.data), job.of(due.stage).when
    if due.end is not None or when is None:
        return row, due.end
    try:
        wants_rows = ROWS in due.data and ROWS in when.columns
        holds = when.holds({**due.data, ROWS: members()} if wants_rows else due.data)
    except RowError as error:
        problem = Problem(error.kind, f"stages.{due.stage}.when: {error}")
        end = Finish(Outcome.FAILED, problem.kind, problem.message)
        return InputRow(key, source, sha, due.data, problem), end
    return row, None if holds else Finish(Outcome.SKIPPED, LEFT_OUT, f"stages.{due.stage}.when: {when.source}")
