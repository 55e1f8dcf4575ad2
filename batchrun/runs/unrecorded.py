"""Slots that have a run here and that the record does not know, or not the files of: it was lost, or is an older copy.

Without this they would never be gone on with, and the files that they have taken would be taken, and paid for, again.
So would those of slots that had a run before the job was given `new_only`.
"""

from __future__ import annotations

from pathlib import Path

from batchrun.errors import StoreError
from batchrun.rows import InputFile
from batchrun.runs.directory import RunDir
from batchrun.schedule.record import Record
from batchrun.schedule.slots import slot_named
from batchrun.schedule.verdicts import State
from batchrun.spec.load import Job
from batchrun.store.reader import Reader

_FOUND = "its run was here, and the record did not know it"


def take_up(job: Job, home: Path, record: Record, now: float) -> None:
    """Put the runs in `home` on record that are not, with the files that they have taken.

    Raises StoreError, with nothing sent, where nobody can tell those.
    """
    found = _slots_in(job, home)  # looked at first: a slot is on record before it has a run
    known = {entry.name for entry in record.entries()}
    for name in sorted(found - known):
        _take_up(job, home, name, record, now)
    for name in sorted(found & known) if job.spec.input.new_only and job.spec.input.files is not None else ():
        if record.took(name) is None:
            _note_files(job, home, name, record, now)


def _slots_in(job: Job, home: Path) -> set[str]:
    schedule = job.spec.schedule
    assert schedule is not None
    return {path.name for path in home.iterdir() if slot_named(schedule, "", path.name) and RunDir(path).exists}


def _take_up(job: Job, home: Path, name: str, record: Record, now: float) -> None:
    with Reader(RunDir(home / name).checkpoint, older=True) as reader:
        if not reader.newest_row():  # it has come to nothing: a slot that was asked for, and refused
            return
        files = _taken(job, reader, record.path, name)
        pending = reader.count_pending(None)
    record.begin(name, now)
    if files is not None:
        record.take(name, files, now)
    if not pending:
        record.settle(name, State.DONE, _FOUND, now, over=True)


def _note_files(job: Job, home: Path, name: str, record: Record, now: float) -> None:
    """What is decided about the slot stays. One without rows has still to take its files."""
    with Reader(RunDir(home / name).checkpoint, older=True) as reader:
        files = _taken(job, reader, record.path, name) if reader.newest_row() else None
    if files is not None:
        record.take(name, files, now)


def _taken(job: Job, reader: Reader, record: Path, name: str) -> list[InputFile] | None:
    """What its rows tell of the files. Those that it had taken and not yet read are left to a later slot."""
    if not job.spec.input.new_only:
        return None
    query = """SELECT data ->> '$.file', data ->> '$.bytes', data ->> '$.sha256' FROM row
               WHERE data ->> '$.sha256' NOT NULL"""
    files = [InputFile(file, size, 0, sha) for file, size, sha in reader.connection.execute(query)]
    (rows,) = reader.connection.execute("SELECT count(*) FROM row").fetchone()
    if job.spec.input.files is None or (rows and not files):
        raise StoreError(
            f"{record}: does not know of the slot {name}, whose run is beside it: it was lost, or is an old copy. The "
            "files that this slot has taken would be paid again; nothing was sent. Restore a newer copy of it. Or move "
            "that run to another directory: then what is still in the input folder is new."
        )
    return files
