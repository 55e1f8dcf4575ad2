"""The job and its input taken into a run: what is new is pending, what is asked otherwise than before is told first."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from batchrun.engine.media import Libraries
from batchrun.errors import SpecError
from batchrun.inputs.read import fingerprint, read_rows
from batchrun.runs.changes import Changes, Collector
from batchrun.runs.comparison import Comparison
from batchrun.runs.directory import remember
from batchrun.runs.flowing import Edits, Intake, comparing
from batchrun.runs.opening import OpenRun
from batchrun.runs.pipeline import showing
from batchrun.spec.dating import shadowed
from batchrun.spec.load import Job
from batchrun.store.admission import Admission, Reading, admit, last_reading
from batchrun.store.amendment import review
from batchrun.store.columns import has_column
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from batchrun.store.tally import tally_of


def take_in(opened: OpenRun, bound: int | None, at: float, *, accept: bool = False) -> Admission | None:
    """Read the first `bound` rows into the checkpoint, unless they are there already (None).

    Rows that were sent are compared with what the job asks now. Raises SpecError, with the checkpoint unchanged, if
    some would be sent and paid again, or have left the input, and the user has not said to `accept` that.
    """
    job, store, reader = opened.job, opened.store, opened.reader
    if job.graph is not None:
        return _take_in_stages(opened, at, accept=accept)
    mark = fingerprint(job.spec.input, job.base, job.taken)
    reads = _is_new(store, mark, bound)
    with closing(Libraries()) as libraries, store.db.atomic():
        comparison = Comparison(job, reader, opened.directory.media, libraries.of(job))
        collector = Collector(job, reader, opened.directory.media, libraries)
        found = Admission(same=0 if reads else tally_of(reader).rows)
        if reads:
            rows, spec = read_rows(job.spec.input, job.base, limit=bound, taken=job.taken), job.spec.input
            compare, named = comparison.first_changed, spec.key is not None
            found = admit(store, rows, at, named=named, complete=bound is None, compare=compare, tell=collector.add)
            store.set_meta(input=mark, input_bound=None if bound is None else str(bound))
            _refuse_dates_as_columns(job, store)
        if comparison.new_request:
            found.same -= review(store, comparison.first_changed, found.edited, collector.add, at)
            remember(store, job)
        if not accept:
            _refuse(opened, _told(collector, found))
    return found if reads else None


def _take_in_stages(opened: OpenRun, at: float, *, accept: bool) -> Admission | None:
    """The same for a job of stages. Groups want all their rows, so the input is read as far as the job itself says."""
    with opened.store.db.atomic():
        found, changes = stage_changes(opened.job, opened.store, opened.reader, opened.directory.media, at)
        if changes is not None and not accept:
            _refuse(opened, changes)
    return found


def stage_changes(
    job: Job, store: Store, reader: Reader, media: Path, at: float
) -> tuple[Admission | None, Changes | None]:
    """Take the rows of a job of stages in, in the caller's transaction, and say what changes; nothing if there is
    nothing to be done."""
    assert job.graph is not None
    mark, bound, edits = fingerprint(job.spec.input, job.base, job.taken), job.spec.input.limit, Edits.of(job, reader)
    reads = _is_new(store, mark, bound) or edits.want_the_input(job.graph)
    if not reads and not edits:
        return None, None
    number = last_reading(store.connection) + 1
    shown = showing(job.graph, number, store.connection)
    with closing(Libraries()) as libraries:
        collector = Collector(job, reader, media, libraries, shown)
        compare = comparing(job, reader, media, libraries, edits, shown)
        rows = read_rows(job.spec.input, job.base, taken=job.taken) if reads else None
        intake = Intake(job, store, edits, Reading(number, at, compare, collector.add))
        (newest,) = store.connection.execute("SELECT coalesce(max(id), 0) FROM row").fetchone()
        found, waiting = intake.take_in(rows, named=job.spec.input.key is not None)
        _count(store, found, newest, number, collector.changes)
    store.set_meta(input=mark, input_bound=None if bound is None else str(bound))
    _refuse_dates_as_columns(job, store)
    remember(store, job)
    collector.add_waiting(set(waiting))
    return found if reads else None, _told(collector, found)


def _count(store: Store, found: Admission, newest: int, number: int, changes: Changes) -> None:
    """Rows of stages may have been met more than once: what is new and what is the same is counted in the end."""
    query = "SELECT count(*), total(id > ?) FROM row WHERE seen = ?"
    rows, new = store.connection.execute(query, (newest, number)).fetchone()
    found.new, found.same = int(new), max(0, rows - int(new) - changes.again - changes.free)


def _refuse_dates_as_columns(job: Job, store: Store) -> None:
    """A template that says `date` could mean the slot's or the row's."""
    for name in sorted(job.dates_read):
        if has_column(store.connection, name):
            raise SpecError(f"{job.path}: {shadowed(name)} Nothing was sent.")


def _is_new(store: Store, mark: str | None, bound: int | None) -> bool:
    known, known_bound = store.meta("input"), store.meta("input_bound")
    return mark is None or mark != known or bool(known_bound and (bound is None or bound > int(known_bound)))


def _told(collector: Collector, found: Admission) -> Changes:
    changes = collector.changes
    changes.same, changes.new = max(0, found.same), found.new
    for key, source in found.gone:
        changes.add_gone(key, source)
    return changes


def _refuse(opened: OpenRun, changes: Changes) -> None:
    if changes.refused:
        said = "\n".join(f"  {line}" for line in changes.lines())
        raise SpecError(
            f"{opened.job.path}: the job or its input has changed since this run began; nothing was sent.\n{said}\n"
            "Undo the change, or accept it with `batchrun run … --accept-change`: changed rows are sent and paid "
            "again, gone rows leave the results, the others stay as they are. "
            f"Or start a run of its own with `--run-dir` (now: {opened.directory.path})."
        )
