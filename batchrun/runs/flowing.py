"""The rows of a job of stages: taken in from the input, made anew after an edit, and made while a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchrun.engine.media import Libraries
from batchrun.rows import InputRow, Problem, key_of, key_within
from batchrun.runs.comparison import Comparison, Shown
from batchrun.runs.opening import OpenRun
from batchrun.runs.pipeline import Pipeline, showing
from batchrun.spec.graph import Graph
from batchrun.spec.load import Job
from batchrun.spec.stages import INPUT, STAGES
from batchrun.store.admission import Admission, Reading, last_reading, numbered, refuse_duplicates
from batchrun.store.amendment import NONE_OF_THEM, Compare, review, set_aside
from batchrun.store.migrations import PENDING
from batchrun.store.reader import Reader
from batchrun.store.store import Store

_UNMET = "SELECT key FROM row WHERE stage = ? AND seen NOT IN (0, ?) ORDER BY position"
_UNMET_SKIPPED = "SELECT key FROM row WHERE seen NOT IN (0, ?) AND outcome = 'skipped'"
_STAY = "UPDATE row SET seen = ? WHERE seen = ? AND seen != 0 AND stage = ?"
_ENDED = "SELECT id FROM row WHERE stage = ? AND seen = ? AND outcome NOT NULL ORDER BY position, length(key), key"
_TRANSFORMED = """SELECT id FROM row WHERE stage = ? AND seen = ? AND NOT rejected
                  AND (outcome IN ('succeeded', 'failed') OR (outcome = 'skipped' AND error_class = 'filtered'))"""
_TO_TRANSFORM = """SELECT id, key FROM row WHERE stage = ? AND seen = ? AND outcome IS NULL AND data NOT NULL
                   ORDER BY position, length(key), key"""
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
    """Takes the rows of a job of stages in, in the caller's transaction. `reading` is the one that this is.

    Transforms are run at once where something followed from their rows before.
    """

    def __init__(self, job: Job, store: Store, edits: Edits, reading: Reading) -> None:
        assert job.graph is not None
        self._job, self._store, self._db, self._edits = job, store, store.connection, edits
        self._graph, self._reading = job.graph, reading

    def take_in(self, rows: Iterable[InputRow] | None, *, named: bool) -> tuple[Admission, list[str]]:
        """Take in the rows of the input, or without them what the edits want. Returns what was found, and the keys of
        rows that were sent, and wait for those they follow from.

        Raises SpecError, with the transaction to be undone, if keys repeat.
        """
        reading = self._reading
        whole = Pipeline.of(self._job, reading, lambda: reading.at)
        whole.following.groups.prepare(self._db)
        remade = frozenset((INPUT, *self._graph)) if rows is not None else self._edits.remade(self._graph)
        kept = {INPUT, *self._graph} if self._graph.keeps_input else set(self._graph)
        for stage in kept - remade:
            self._db.execute(_STAY, (reading.number, reading.number - 1, stage))
        if rows is not None:
            read(whole, self._store, rows, named=named)
        for stage in (INPUT, *self._graph):
            self._go_through(whole, stage, remade)
        return whole.following.found, list(self._left(whole))

    def _go_through(self, whole: Pipeline, stage: str, remade: frozenset[str]) -> None:
        """What a stage's rows are asked compared, and what follows from those that stand made."""
        reading, compare = self._reading, self._reading.compare
        if stage in self._edits.turned:
            self._db.execute(_ANEW, (stage, reading.number))
        if stage in self._edits.asked and compare is not None:
            review(self._store, compare, whole.following.found.edited, reading.tell, reading.at, stage)
        if stage in self._edits.made and self._job.of(stage).transform is not None:
            self._transform(whole, stage)
        if stage in remade and self._job.of(stage).transform is not None:
            self._transform_what_is_followed(whole, stage)
        if remade.intersection(self._graph.after[stage]):
            ended = self._db.execute(_ENDED, (stage, reading.number)).fetchall()
            whole.following.flow(self._db, (row_id for (row_id,) in ended), one_step=True)

    def _transform(self, whole: Pipeline, stage: str) -> None:
        """Run a transform again that was edited: it costs nothing, and shows what will."""
        reading = self._reading
        for (row_id,) in self._db.execute(_TRANSFORMED, (stage, reading.number)).fetchall():
            whole.transform(self._db, row_id, reading.at)

    def _transform_what_is_followed(self, whole: Pipeline, stage: str) -> None:
        """The same with rows that are made anew, and from which others, perhaps paid ones, followed before."""
        reading = whole.following.reading
        for row_id, key in self._db.execute(_TO_TRANSFORM, (stage, reading.number)).fetchall():
            if whole.following.is_followed(self._db, stage, key_within(stage, key), row_id):
                whole.transform(self._db, row_id, reading.at)

    def _left(self, whole: Pipeline) -> Iterator[str]:
        """Set aside what was not met. Those that may come back are yielded, the others are gone.

        What was skipped already leaves nothing.
        """
        following, waiting = whole.following, set[str]()
        number = self._reading.number
        skipped = {key for (key,) in self._db.execute(_UNMET_SKIPPED, (number,))}
        for stage in self._graph:
            for (key,) in self._db.execute(_UNMET, (stage, number)).fetchall():
                if following.may_come(self._db, stage, key_within(stage, key), waiting):
                    waiting.add(key)
        left = [(key, source) for key, source in set_aside(self._db, number) if key not in skipped]
        yield from (key for key, _ in left if key in waiting)
        following.found.gone += [(key, source) for key, source in left if key not in waiting]


def first_stages(job: Job, store: Store, rows: Iterable[InputRow], at: float, *, named: bool) -> Admission:
    """Take the rows of the input into the stages that read it, in the caller's transaction; every other input of a row
    that was sent is taken for another request. Raises SpecError, with the transaction to be undone, if keys repeat."""
    reading = Reading(last_reading(store.connection) + 1, at, None, lambda _: None)
    whole = Pipeline.of(job, reading, lambda: at)
    whole.following.groups.prepare(store.connection)
    read(whole, store, rows, named=named)
    return whole.following.found


def read(whole: Pipeline, store: Store, rows: Iterable[InputRow], *, named: bool) -> None:
    """Take the rows of the input into the stages that read it. Raises SpecError if keys repeat."""
    db, following = store.connection, whole.following
    prefix = key_of(whole.graph.first, "")
    for position, row in enumerate(rows if named else numbered(db, rows, following.reading.number, {}, prefix)):
        following.begin(db, _usable(row), position)
    refuse_duplicates(following.found)


def _usable(row: InputRow) -> InputRow:
    """The row; with a problem, where a column of its would be hidden by the outputs of stages."""
    if row.problem is not None or STAGES not in (row.data or {}):
        return row
    said = f"{row.source}: a column is called {STAGES!r}, as the outputs of stages are; rename it"
    return replace(row, problem=Problem("bad_input", said))


def comparing(job: Job, reader: Reader, media: Path, libraries: Libraries, edits: Edits, shown: Shown) -> Compare:
    """What compares the rows of each stage with what they were asked."""
    each = {
        stage.stage: Comparison(stage, reader, media, libraries.of(stage), stage.stage in edits.asked, shown)
        for stage in job.asking
    }

    def first_changed(key: str, data: dict[str, Any]) -> int | None:
        stage = each.get(key.partition(":")[0])  # none is for a transform that was a request before
        return NONE_OF_THEM if stage is None else stage.first_changed(key, data)

    return first_changed


def going_on(
    job: Job, store: Store, reader: Reader, media: Path, libraries: Libraries, wall: Callable[[], float]
) -> Pipeline:
    """The stages of a job as a run goes on with them: what is made once more is compared with what was asked."""
    assert job.graph is not None
    number = last_reading(store.connection)
    compare = comparing(job, reader, media, libraries, Edits(), showing(job.graph, number, store.connection))
    whole = Pipeline.of(job, Reading(number, wall(), compare, lambda _: None), wall)
    whole.following.groups.prepare(store.connection)
    return whole


@contextmanager
def flowing(opened: OpenRun, wall: Callable[[], float]) -> Iterator[Pipeline | None]:
    """For the time of the block rows are made as those that they follow from end. None for a job without stages."""
    job, store = opened.job, opened.store
    if job.graph is None:
        yield None
        return
    with closing(Libraries()) as libraries, Reader(opened.directory.checkpoint) as reader:
        whole = going_on(job, store, reader, opened.directory.media, libraries, wall)
        store.following = whole.following
        try:
            yield whole
        finally:
            store.following = None
