"""The job and its input taken into a run: what is new is pending, what is asked otherwise than before is told first."""

from __future__ import annotations

from contextlib import closing

from batchrun.engine.media import library_of
from batchrun.errors import SpecError
from batchrun.inputs.read import fingerprint, read_rows
from batchrun.runs.changes import Changes, Collector
from batchrun.runs.comparison import Comparison
from batchrun.runs.directory import remember
from batchrun.runs.opening import OpenRun
from batchrun.store.admission import Admission, admit
from batchrun.store.amendment import review
from batchrun.store.tally import tally_of


def take_in(opened: OpenRun, bound: int | None, at: float, *, accept: bool = False) -> Admission | None:
    """Read the first `bound` rows into the checkpoint, unless they are there already (None).

    Rows that were sent are compared with what the job asks now. Raises SpecError, with the checkpoint unchanged, if
    some would be sent and paid again, or have left the input, and the user has not said to `accept` that.
    """
    job, store, reader = opened.job, opened.store, opened.reader
    mark = fingerprint(job.spec.input, job.base)
    reads = _is_new(opened, mark, bound)
    with closing(library_of(job)) as library, store.db.atomic():
        comparison = Comparison(job, reader, opened.directory.media, library)
        collector = Collector(job, reader, opened.directory.media, library)
        found = Admission(same=0 if reads else tally_of(reader).rows)
        if reads:
            rows, spec = read_rows(job.spec.input, job.base, limit=bound), job.spec.input
            compare, named = comparison.first_changed, spec.key is not None
            found = admit(store, rows, at, named=named, complete=bound is None, compare=compare, tell=collector.add)
            store.set_meta(input=mark, input_bound=None if bound is None else str(bound))
        if comparison.new_request:
            found.same -= review(store, comparison.first_changed, found.edited, collector.add, at)
            remember(store, job)
        if not accept:
            _refuse(opened, _told(collector, found))
    return found if reads else None


def _is_new(opened: OpenRun, mark: str | None, bound: int | None) -> bool:
    known, known_bound = opened.store.meta("input"), opened.store.meta("input_bound")
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
