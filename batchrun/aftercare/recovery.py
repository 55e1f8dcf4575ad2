"""A checkpoint made anew from the ledger and the input, so that nothing that was paid for is paid again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchrun.aftercare.verification import altered_inputs
from batchrun.disk import sync_directory
from batchrun.engine.request import intent_key
from batchrun.errors import SpecError, StoreError
from batchrun.inputs.read import read_rows
from batchrun.plurals import counted
from batchrun.runs.directory import RunDir
from batchrun.runs.flowing import first_stages
from batchrun.spec.load import Job
from batchrun.spec.stages import INPUT
from batchrun.store.admission import admit
from batchrun.store.events import META, Replay
from batchrun.store.ledger import Event, faults, is_whole, numbered
from batchrun.store.lock import RunLock
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from batchrun.store.trust import is_sound


@dataclass
class Recovered:
    """What came of it. `submitted` interactions are fetched by the next run, for free; `doubtful` POSTs have no id.

    `later` rows are of stages that follow from others, and are met again as those are fetched.
    `gone` are rows of the ledger that the input does not have, `edited` those that were last sent with another input,
    `damaged` lines that cannot be read; `aside` is what the damaged checkpoint's files are called now. `target` is the
    service that the run was made against. If `ledger_anew`, it was the ledger that was made, from the checkpoint.
    """

    rows: int = 0
    submitted: int = 0
    doubtful: int = 0
    target: str = ""
    later: int = 0
    gone: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    damaged: int = 0
    ledger_anew: bool = False
    aside: list[Path] = field(default_factory=list)


def recover(job: Job, directory: RunDir, at: float, *, accept_damage: bool = False) -> Recovered:
    """Make a run's checkpoint anew, or bring an old copy of it up to date; or its ledger, if that is lost.

    Nothing is sent.

    Raises SpecError if there is nothing to recover or it is another job's; StoreError if the ledger is damaged, unless
    that is accepted: rows of damaged lines may be paid again; LockedError.
    """
    directory.require_ours()
    if not directory.exists:
        raise SpecError(f"{directory.path}: there is no run here, and no {directory.ledger.name} to recover one from.")
    with closing(RunLock(directory.path)):
        if _only_the_ledger_is_lost(directory):
            return _ledger_anew(job, directory, accept_damage=accept_damage)
        found = Recovered()
        events, found.damaged = _events(job, directory, accept_damage=accept_damage)
        if directory.checkpoint.exists() and not _believable(directory):
            found.aside = _set_aside(directory)
        with closing(Store(directory.checkpoint, behind=True)) as store:
            if not store.is_behind:
                raise SpecError(f"{directory.checkpoint}: nothing to recover: it knows all that its ledger tells.")
            _take_in(store, job, events[0], at)
            run_id, found.target = store.meta("run_id") or "", store.meta("target") or ""
            replay = Replay(store.connection, at, lambda key, *place: intent_key(run_id, key, *place))
            with store.db.atomic():
                for event in events[1:]:
                    replay.apply(event)
                replay.leave_doubtful()
                found.edited = replay.leave_edited()
                store.set_meta(input=None, input_bound=None)  # the next run is to read it, and compare
            later = set() if job.graph is None else set(job.graph) - set(job.graph.after[INPUT])
            found.gone = [key for key in replay.unknown if key.partition(":")[0] not in later]
            found.later = len(replay.unknown) - len(found.gone)
            store.caught_up()
            _count(store.connection, found)
    return found


def _events(job: Job, directory: RunDir, *, accept_damage: bool) -> tuple[list[Event], int]:
    """All events that can be read, the run's own first, and how many cannot. Raises SpecError, StoreError."""
    try:
        lines = list(numbered(directory.ledger))
    except OSError as error:
        said = f"{directory.ledger}: cannot be read: {error.strerror}. Nor can {directory.checkpoint.name} be believed"
        raise StoreError(f"{said}: restore a copy of one of them.") from error
    events, damaged = [tuple(line[1:]) for line in lines if line is not None], faults(lines)
    attempts = len({event[1] for event in events if event[0] == "intent"})
    run_id = next((event[1] for event in events if event[0] == "run"), None)
    damaged += max(0, directory.counted_attempts(run_id) - attempts - damaged)
    if damaged and not accept_damage:
        raise StoreError(
            f"{directory.ledger}: at {counted(damaged, 'place')} lines are damaged or gone. What they told of would be "
            "paid again; restore a copy of the file, or accept that with --accept-damage. Nothing was changed."
        )
    if not events or events[0][0] != "run":
        raise StoreError(f"{directory.ledger}: the line that names the run is damaged; restore a copy of the file.")
    told = dict(zip(META, events[0][1:], strict=True))
    _require_same(job, directory.ledger, told["job"], told["key_column"])
    return events, damaged


def _require_same(job: Job, told_by: Path, name: str | None, key_column: str | None) -> None:
    if (name, key_column) != (job.spec.name, job.spec.input.key or ""):
        raise SpecError(
            f"{told_by}: belongs to job {name!r} with rows named by {key_column!r}, "
            f"not to {job.spec.name!r} with {job.spec.input.key or ''!r}."
        )


def _only_the_ledger_is_lost(directory: RunDir) -> bool:
    """Whether the ledger is gone or has faults, and the checkpoint is whole and knows all that is left of it."""
    if is_whole(directory.ledger) or not directory.checkpoint.exists() or not _believable(directory):
        return False
    with closing(Store(directory.checkpoint, behind=True)) as store:
        return not store.is_behind


def _ledger_anew(job: Job, directory: RunDir, *, accept_damage: bool) -> Recovered:
    """Make the ledger from a checkpoint that can be believed. Raises SpecError, StoreError."""
    found = Recovered(ledger_anew=True)
    with closing(Store(directory.checkpoint, behind=True)) as store:
        _require_same(job, directory.checkpoint, store.meta("job"), store.meta("key_column"))
        found.target = store.meta("target") or ""
        if accept_damage:
            directory.summary.unlink(missing_ok=True)  # what it counts beyond the checkpoint may be forgotten
        directory.refuse_to_forget(store)
        store.mend_ledger(faulty=True)
        _count(store.connection, found)
    return found


def _believable(directory: RunDir) -> bool:
    """False for a checkpoint of which anything is not as it was written."""
    if not is_sound(directory.checkpoint, directory.ledger):
        return False
    with Reader(directory.checkpoint, older=True) as reader:
        return next(altered_inputs(reader.connection), None) is None


def _set_aside(directory: RunDir) -> list[Path]:
    """Rename a damaged checkpoint's files. They are kept: some answers may be read from them by hand."""
    moved = []
    number = 1
    while directory.path.joinpath(f"run.db.damaged-{number}").exists():
        number += 1
    for name in ("run.db", "run.db-wal", "run.db-shm"):
        path = directory.path / name
        if path.exists():
            moved.append(path.rename(path.with_name(f"{name}.damaged-{number}")))
    sync_directory(directory.path)
    return moved


def _take_in(store: Store, job: Job, told: tuple[Any, ...], at: float) -> None:
    """The run's own words and the input's rows, where the checkpoint does not have them. Raises SpecError."""
    if store.meta("run_id") is None:
        store.set_meta(**dict(zip(META, told[1:], strict=True)))
    rows, named = read_rows(job.spec.input, job.base, taken=job.taken), job.spec.input.key is not None
    with store.db.atomic():
        if job.graph is None:
            found = admit(store, rows, at, named=named, complete=False)
        else:
            found = first_stages(job, store, rows, at, named=named)
        if found.changed:
            raise SpecError(
                f"{job.path}: what the input says of {counted(found.changed, 'row')} that had been sent has changed "
                "since. Undo the edit, recover, and make it again: `run` tells what it costs. Nothing was recovered."
            )


def _count(db: sqlite3.Connection, found: Recovered) -> None:
    def count(condition: str) -> int:
        query = f"SELECT count(*) FROM attempt WHERE superseded_at IS NULL AND {condition}"
        number: int = db.execute(query).fetchone()[0]
        return number

    found.rows = db.execute("SELECT count(*) FROM row").fetchone()[0]
    found.submitted, found.doubtful = count("state = 'submitted'"), count("state IN ('intent', 'ambiguous')")
