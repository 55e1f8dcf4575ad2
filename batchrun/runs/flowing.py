"""The rows of a job of stages: taken in from the input, made anew after an edit, and made while a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchrun.engine.media import Libraries
from batchrun.rows import InputRow, Problem, key_within
from batchrun.runs.changes import Collector
from batchrun.runs.comparison import Comparison
from batchrun.runs.opening import OpenRun
from batchrun.runs.pipeline import Pipeline
from batchrun.spec.graph import Graph
from batchrun.spec.load import Job
from batchrun.spec.stages import INPUT, STAGES
from batchrun.store.admission import Admission, Reading, numbered, refuse_duplicates
from batchrun.store.amendment import NONE_OF_THEM, Compare, review, set_aside
from batchrun.store.migrations import PENDING
from batchrun.store.reader import Reader
from batchrun.store.store import Store, end_row

_LAST = "SELECT coalesce(max(seen), 0) FROM row"
_STAY = "UPDATE row SET seen = ? WHERE seen = ? AND seen != 0 AND stage = ?"
_ENDED = "SELECT id FROM row WHERE stage = ? AND seen = ? AND outcome NOT NULL ORDER BY position, length(key), key"
_TRANSFORMED = """SELECT id, key, data FROM row WHERE stage = ? AND seen = ? AND NOT rejected
                  AND (outcome IN ('succeeded', 'failed') OR (outcome = 'skipped' AND error_class = 'filtered'))"""
_ANEW = f"""{PENDING} WHERE stage = ? AND seen = ? AND NOT rejected
            AND (outcome != 'skipped' OR error_class = 'filtered')"""


@dataclass(frozen=True)
class Edits:
    """The stages whose rows are asked otherwise than they were, those that are made otherwise, those no more.

    Those `turned` from a request into a transform, or the other way, are made otherwise too.
    """

    asked: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    turned: frozenset[str] = frozenset()

    @classmethod
    def of(cls, job: Job, reader: Reader) -> Edits:
        """What has been edited since the run last took the job in."""
        before, now = json.loads(reader.meta("request_parts") or "{}"), job.parts
        changed = {name for name in {**before, **now} if before.get(name) != now.get(name)}
        stages = {name: name.split(".", 2)[1:] for name in changed if name.count(".") > 1}
        asked = {stage for stage, what in stages.values() if what.startswith("request.")}
        made = {stage for stage, what in stages.values() if not what.startswith("request.")}
        gone = {name.split(".", 2)[1] for name in before} - set(job.stages)
        new = set(job.stages) - {name.split(".", 2)[1] for name in before}
        still = {each.stage for each in job.asking}
        turned = {name for name in set(job.stages) - new if (f"stages.{name}.transform" in before) == (name in still)}
        made = (made | new) & set(job.stages)
        return cls(frozenset(asked & still), frozenset(made), frozenset(gone), frozenset(turned))

    def __bool__(self) -> bool:
        return bool(self.asked or self.made or self.gone)

    def want_the_input(self, graph: Graph) -> bool:
        """Whether rows have to be made of those of the input."""
        return bool(self.made.intersection(graph.after[INPUT]))

    def remade(self, graph: Graph) -> frozenset[str]:
        """The stages whose rows have to be made once more."""
        below = {other for name in self.asked | self.made for other in graph.below(name)}
        return frozenset(below | self.made)


class Intake:
    """Takes the rows of a job of stages in, in the caller's transaction. `collector` hears of rows to be asked anew."""

    def __init__(
        self, job: Job, store: Store, edits: Edits, compare: Callable[[Pipeline], Compare], collector: Collector
    ) -> None:
        assert job.graph is not None
        self._job, self._store, self._db, self._edits = job, store, store.connection, edits
        self._graph, self._compare, self._collector, self._tell = job.graph, compare, collector, collector.add

    def take_in(self, rows: Iterable[InputRow] | None, at: float, *, named: bool) -> tuple[Admission, list[str]]:
        """Take in the rows of the input, or without them what the edits want. Returns what was found, and the keys of
        rows that were sent, and wait for those they follow from.

        Raises SpecError, with the transaction to be undone, if keys repeat.
        """
        (last,) = self._db.execute(_LAST).fetchone()
        reading = Reading(last + 1, at, lambda key, data: compare(key, data), self._tell)
        whole = Pipeline.of(self._job, reading, lambda: at)
        compare = self._compare(whole)
        self._collector.shown = lambda key, data: whole.shown(key, data, self._db)
        whole.following.groups.prepare(self._db)
        remade = frozenset((INPUT, *self._graph)) if rows is not None else self._edits.remade(self._graph)
        kept = {INPUT, *self._graph} if self._graph.keeps_input else set(self._graph)
        for stage in kept - remade:
            stayed = self._db.execute(_STAY, (reading.number, last, stage))
            whole.following.found.same += stayed.rowcount
        if rows is not None:
            read(whole, self._store, rows, named=named)
        for stage in (INPUT, *self._graph):
            self._go_through(whole, stage, remade, compare)
        return whole.following.found, list(self._left(whole))

    def _go_through(self, whole: Pipeline, stage: str, remade: frozenset[str], compare: Compare) -> None:
        """What a stage's rows are asked compared, and what follows from those that stand made."""
        reading = whole.following.reading
        if stage in self._edits.turned:
            self._db.execute(_ANEW, (stage, reading.number))
        if stage in self._edits.asked:
            found = whole.following.found
            found.same -= review(self._store, compare, found.edited, self._tell, reading.at, stage)
        if stage in self._edits.made and self._job.of(stage).transform is not None:
            self._transform(whole, stage)
        if remade.intersection(self._graph.after[stage]):
            ended = self._db.execute(_ENDED, (stage, reading.number)).fetchall()
            whole.following.flow(self._db, (row_id for (row_id,) in ended), one_step=True)

    def _transform(self, whole: Pipeline, stage: str) -> None:
        """Run a transform again that was edited: it costs nothing, and shows what will."""
        reading = whole.following.reading
        for row_id, key, data in self._db.execute(_TRANSFORMED, (stage, reading.number)).fetchall():
            end, output = whole.transformed(key, json.loads(data or "{}"), self._db)
            end_row(self._db, row_id, end, reading.at, output)

    def _left(self, whole: Pipeline) -> Iterator[str]:
        """Set aside what was not met. Those that may come back are yielded, the others are gone."""
        following, waiting = whole.following, set[str]()
        left = dict(set_aside(self._db, following.reading.number))
        for stage in self._graph:
            for key in [key for key in left if key.startswith(f"{stage}:")]:
                if following.may_come(self._db, stage, key_within(stage, key), waiting):
                    waiting.add(key)
        yield from waiting
        following.found.gone += [(key, source) for key, source in left.items() if key not in waiting]


def first_stages(job: Job, store: Store, rows: Iterable[InputRow], at: float, *, named: bool) -> Admission:
    """Take the rows of the input into the stages that read it, in the caller's transaction; every other input of a row
    that was sent is taken for another request. Raises SpecError, with the transaction to be undone, if keys repeat."""
    (last,) = store.connection.execute(_LAST).fetchone()
    whole = Pipeline.of(job, Reading(last + 1, at, None, lambda _: None), lambda: at)
    whole.following.groups.prepare(store.connection)
    read(whole, store, rows, named=named)
    return whole.following.found


def read(whole: Pipeline, store: Store, rows: Iterable[InputRow], *, named: bool) -> None:
    """Take the rows of the input into the stages that read it. Raises SpecError if keys repeat."""
    db, following = store.connection, whole.following
    first = INPUT if whole.graph.keeps_input else whole.graph.after[INPUT][0]
    for position, row in enumerate(rows if named else numbered(db, rows, following.reading.number, {}, f"{first}:")):
        following.begin(db, _usable(row), position)
    refuse_duplicates(following.found)


def _usable(row: InputRow) -> InputRow:
    """The row; with a problem, where a column of its would be hidden by the outputs of stages."""
    if row.problem is not None or STAGES not in (row.data or {}):
        return row
    said = f"{row.source}: a column is called {STAGES!r}, as the outputs of stages are; rename it"
    return replace(row, problem=Problem("bad_input", said))


def comparing(
    job: Job, reader: Reader, media: Path, libraries: Libraries, edits: Edits, store: Store
) -> Callable[[Pipeline], Compare]:
    """What compares the rows of each stage with what they were asked."""

    def of(whole: Pipeline) -> Compare:
        def shown(key: str, data: Mapping[str, Any]) -> dict[str, Any]:
            return whole.shown(key, data, store.connection)

        each = {
            stage.stage: Comparison(stage, reader, media, libraries.of(stage), stage.stage in edits.asked, shown)
            for stage in job.asking
        }

        def first_changed(key: str, data: dict[str, Any]) -> int | None:
            stage = each.get(key.partition(":")[0])  # none is for a transform that was a request before
            return NONE_OF_THEM if stage is None else stage.first_changed(key, data)

        return first_changed

    return of


@contextmanager
def flowing(opened: OpenRun, wall: Callable[[], float]) -> Iterator[Pipeline | None]:
    """For the time of the block rows are made as those that they follow from end. None for a job without stages."""
    job, store = opened.job, opened.store
    if job.graph is None:
        yield None
        return
    with closing(Libraries()) as libraries, Reader(opened.directory.checkpoint) as reader:
        edits = Edits()
        compare: Compare | None = None

        def first_changed(key: str, data: dict[str, Any]) -> int | None:
            assert compare is not None
            return compare(key, data)

        (last,) = store.connection.execute(_LAST).fetchone()
        whole = Pipeline.of(job, Reading(last, wall(), first_changed, lambda _: None), wall)
        compare = comparing(job, reader, opened.directory.media, libraries, edits, store)(whole)
        whole.following.groups.prepare(store.connection)
        store.following = whole.following
        try:
            yield whole
        finally:
            store.following = None
