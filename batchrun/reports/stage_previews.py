"""What a run of a job of stages would do, found by taking its rows into a copy of the checkpoint that is thrown away.

So it is the code of a run that decides what is new, what stays and what is asked anew. Rows that follow from others
which have yet to end are not known before; where one row follows from one, it is known how many there may be.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from batchrun.engine.media import Libraries
from batchrun.errors import RowError
from batchrun.reports.previews import Preview, StagePreview, complain, keep_rendered
from batchrun.reports.standing import Known
from batchrun.runs.changes import Changes
from batchrun.runs.directory import RunDir, require_job
from batchrun.runs.flowing import going_on
from batchrun.runs.forecast import forecast
from batchrun.runs.intake import stage_changes
from batchrun.runs.pipeline import Pipeline, showing
from batchrun.runs.preflight import grouped_by
from batchrun.spec.load import Job
from batchrun.spec.stages import INPUT
from batchrun.store.columns import lacks_column
from batchrun.store.reader import Reader
from batchrun.store.records import RowRecord
from batchrun.store.store import Store
from batchrun.store.tally import stage_tallies

#: Rows of each stage that are rendered for the estimate; the rest are taken to be like them.
_SAMPLE = 200
_OPEN = ("pending", "in_flight")
_TO_RUN = """SELECT id, key FROM row WHERE stage = ? AND seen = ? AND outcome IS NULL AND data NOT NULL
             AND position < ? ORDER BY position, length(key), key"""


def preview_stages(
    job: Job, directory: RunDir | None, at: float, *, limit: int | None = None, show: int = 0
) -> Preview:
    """Take the rows of a job of stages in, and render the first that would be sent of each stage.

    The requests of `show` rows are kept, without media. Raises SpecError for what is wrong with the input or the run.
    """
    found = Preview()
    with _thrown_away(job, directory) as (store, reader, media), closing(Libraries()) as libraries:
        with store.db.atomic():
            _, changes = stage_changes(job, store, reader, media, at)
            _transform(going_on(job, store, reader, media, libraries, lambda: at), store, limit)
        found.changes = changes or Changes()
        for stage in job.each:
            _Stage(job, stage, reader, media, libraries).add_to(found, limit, show)
        _count_input(job, found, reader, at)
        _add_what_follows(job, found, reader)
    return found


@contextmanager
def _thrown_away(job: Job, directory: RunDir | None) -> Iterator[tuple[Store, Reader, Path]]:
    """A copy of the run's checkpoint, or a new one, and the directory of its media."""
    with TemporaryDirectory(prefix="batchrun-plan-") as where:
        path = Path(where, "run.db")
        if directory is not None and directory.exists:
            with Reader(directory.checkpoint) as run, closing(sqlite3.connect(path)) as copy:
                require_job(job, directory, run)
                run.connection.backup(copy)
        with closing(Store(path, behind=True)) as store, Reader(path) as reader:
            yield store, reader, directory.media if directory is not None else Path(where)


def _transform(whole: Pipeline, store: Store, limit: int | None) -> None:
    """Run the transforms that a run would run at once: they cost nothing, and make known what follows from them."""
    reading, bound = whole.following.reading, 1 << 62 if limit is None else limit
    for stage in whole.job.each:
        if stage.transform is not None:
            to_run = store.connection.execute(_TO_RUN, (stage.stage, reading.number, bound))
            for row_id, key in to_run.fetchall():
                if whole.settled(stage.stage, key, store.connection):
                    whole.transform(store.connection, row_id, reading.at)
                    whole.following.flow(store.connection, [row_id])


class _Stage:
    """One stage of the copy, looked at."""

    def __init__(self, job: Job, stage: Job, reader: Reader, media: Path, libraries: Libraries) -> None:
        assert job.graph is not None
        self._graph, self._stage, self._reader, self._media = job.graph, stage, reader, media
        self._library, self._known = libraries.of(stage), Known(stage, reader, media, libraries)
        self._tokens = self._least = self._most = self._tried = 0

    def add_to(self, found: Preview, limit: int | None, show: int) -> None:
        """Add its rows to what was found."""
        standing: Counter[str] = Counter()
        for outcome, count in stage_tallies(self._reader).get(self._stage.stage, {}).items():
            standing[outcome] += 0 if outcome in _OPEN else count
        shown = showing(self._graph, self._reader.last_reading(), self._reader.connection)
        for row in self._pending(limit):
            data = shown(row.key, row.data or {})
            state = str(row.attempt.state) if row.attempt else None
            how = "to run" if self._stage.transform else "new" if not row.attempts else None
            how = how or self._known.open_standing(row.key, data, state)
            standing[how] += 1
            if how in ("new", "pending", "in doubt") and self._tried < _SAMPLE:
                self._render(found, row, data, show)
        preview = StagePreview(+standing, self._stage.transform is not None)
        found.stages[self._stage.stage] = preview
        found.standing += preview.standing
        self._add_estimate(found, preview.to_send)

    def _pending(self, limit: int | None) -> Iterator[RowRecord]:
        for under_way in (True, False):
            for row in self._reader.pending(under_way=under_way, limit=limit):
                if row.stage == self._stage.stage:
                    yield row

    def _render(self, found: Preview, row: RowRecord, data: dict[str, object], show: int) -> None:
        self._tried += 1
        try:
            begun = self._known.begun(row.key, data) or ()
            expected = forecast(self._stage, data, self._library, begun, media=self._media)
        except RowError as error:
            complain(found, f"{row.key} ({row.source}): {error} ({error.kind})")
            return
        self._tokens += expected.tokens
        self._least, self._most = self._least + expected.least, self._most + expected.most
        keep_rendered(found, row.key, expected, len(begun), show)

    def _add_estimate(self, found: Preview, to_send: int) -> None:
        """Scale what the rendered rows take to all of the stage."""
        found.tried += to_send
        if self._tried:
            found.tokens += round(self._tokens / self._tried * to_send)
            found.least += round(self._least / self._tried * to_send)
            found.most += round(self._most / self._tried * to_send)


def _count_input(job: Job, found: Preview, reader: Reader, at: float) -> None:
    found.rows, found.unreadable = reader.count_input()
    for key, source, kind, message in reader.failed_unsent(at):
        complain(found, f"{key} ({source}): {message} ({kind})")
    assert job.graph is not None
    wanted = [*(("output.columns", name) for name in job.spec.output.columns)]
    wanted += [(f"stages.{stage}.batch.by", name) for stage, name in grouped_by(job)]
    for place, name in wanted:
        if lacks_column(reader.connection, job.graph.first, name):
            complain(found, f"{place}: no row has the column {name!r}")


def _add_what_follows(job: Job, found: Preview, reader: Reader) -> None:
    """Say of which stages rows will follow from those that have yet to end."""
    assert job.graph is not None
    known = stage_tallies(reader)
    waiting: set[str] = set()
    for name in job.graph:
        stage, counts = found.stages[name], known.get(name, {})
        if waiting.intersection(job.graph.before(name)):
            more = found.rows - sum(counts.values()) if job.graph.level(name) == (INPUT,) else None
            found.stages[name] = StagePreview(stage.standing, stage.transforms, more is None or more > 0, more)
        if found.stages[name].waits or any(counts.get(each) for each in _OPEN):
            waiting.add(name)
