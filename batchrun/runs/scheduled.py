"""Which slot of a scheduled job a command is about, and the job as it is loaded for that slot.

Commands that look mean the latest slot that has a run, `run` and `plan` the latest that has begun. A job without a
schedule is loaded as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

from batchrun.errors import SpecError, StoreError
from batchrun.runs.directory import RunDir, runs_of
from batchrun.runs.new_files import foreseeing_files, with_new_files
from batchrun.runs.unrecorded import take_up
from batchrun.schedule.record import Record
from batchrun.schedule.slots import Slot, latest, slot_named, slots
from batchrun.spec.dating import Dates
from batchrun.spec.load import Job, load_job, without_dots
from batchrun.spec.scheduling import ScheduleSpec
from batchrun.store.reader import Reader

_SHOWN = 6


@dataclass(frozen=True)
class Wanted:
    """What a command line says of the run that it is about. `slot` is a name, a time, a day or `now`."""

    path: Path
    overrides: Sequence[str] = ()
    slot: str | None = None
    run_dir: Path | None = None
    emulated: bool = False

    def home(self, job: Job) -> Path:
        """Where the record of slots is. A run directory of one's own has one of its own: it stands apart."""
        return self.run_dir or runs_of(job, emulated=self.emulated)


def existing(wanted: Wanted, now: float) -> Job:
    """The job for the slot to look at; where none has a run, that which would have the next."""
    job = _loaded(wanted)
    if job.spec.schedule is None:
        return job
    paid = slots_on_disk(job, emulated=False)
    wanted = replace(wanted, emulated=wanted.emulated or not paid)
    return _having_taken(_at(job, wanted, _to_look_at(job, wanted, now), now), wanted)


def planned(wanted: Wanted, now: float) -> Job:
    """The job for the slot that `run` would begin or go on with. Nothing is written."""
    job = _loaded(wanted)
    if job.spec.schedule is None:
        return job
    return _foreseen(_at(job, wanted, _to_run(job, wanted, now), now), wanted, now)


@contextmanager
def beginning(wanted: Wanted, now: float) -> Iterator[tuple[Job, Record | None]]:
    """The same, with the slot on record as begun; for a job without a schedule there is no record.

    A slot that was asked for by hand and is refused before it has a row is not left on record: every tick would meet
    the same.
    """
    job = _loaded(wanted)
    if job.spec.schedule is None:
        yield job, None
        return
    slot = _to_run(job, wanted, now)
    with record_of(job, wanted, now) as record:
        known = record.entry(slot.name) is not None
        record.begin(slot.name, now)
        try:
            yield with_new_files(_at(job, wanted, slot, now), record, now), record
        except SpecError:
            if not known and not _has_rows(RunDir(wanted.run_dir or wanted.home(job) / slot.name)):
                record.forget(slot.name)
            raise


def loaded_for(wanted: Wanted, record: Record, name: str, now: float) -> Job:
    """The job for a slot that is on record as begun. Raises SpecError."""
    job = _loaded(wanted)
    return with_new_files(_at(job, replace(wanted, run_dir=None), _named(job, name), now), record, now)


def claim_outputs(record: Record, job: Job) -> None:
    """Raises SpecError where the output files of another slot are, which would be replaced."""
    if job.dates is None or job.spec.output.dir is None:
        return
    directory = without_dots(job.base / job.spec.output.dir)
    if (owner := record.writes_to(job.dates.slot, str(directory))) != job.dates.slot:
        raise SpecError(
            f"{job.path}: output.dir: {directory} has the results of the slot {owner}, which would be replaced; "
            "nothing was sent. Tell the slots apart: {{ slot }} is another for each, {{ date }} for each day."
        )


@contextmanager
def record_of(job: Job, wanted: Wanted, now: float) -> Iterator[Record]:
    """The record of a scheduled job's slots, with all that have a run. Raises SpecError, StoreError."""
    home = wanted.home(job)
    with record_in(home) as record:
        take_up(job, home, record, now)
        yield record


def record_in(home: Path) -> Record:
    """The record in a directory, made if need be. Raises SpecError, StoreError."""
    RunDir(home).make()
    return Record(home)


def note_reopened(job: Job, directory: RunDir) -> None:
    """Rows of a run are pending again: if it is that of a slot, the next tick is to go on with it."""
    if job.dates is None or directory.path.name != job.dates.slot:
        return
    if (record := Record.found_in(directory.path.parent)) is not None:
        with record:
            record.reopen(job.dates.slot)


def slots_on_disk(job: Job, *, emulated: bool) -> list[str]:
    """The names of the slots that have a run, oldest first."""
    schedule = scheduled(job)
    directory = runs_of(job, emulated=emulated)
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    return [name for name in names if slot_named(schedule, "", name) and RunDir(directory / name).exists]


def scheduled(job: Job) -> ScheduleSpec:
    """The job's schedule. Raises SpecError for a job that has none."""
    if job.spec.schedule is None:
        raise SpecError(f"{job.path}: the job has no `schedule`; add one, such as `schedule: {{cron: '0 3 * * *'}}`.")
    return job.spec.schedule


def _loaded(wanted: Wanted) -> Job:
    job = load_job(wanted.path, wanted.overrides)
    if wanted.slot is not None:
        scheduled(job)
    return job


def _at(job: Job, wanted: Wanted, slot: Slot, now: float) -> Job:
    return load_job(wanted.path, wanted.overrides, Dates(slot.name, slot.date, _run_date(job, wanted, slot, now)))


def _having_taken(job: Job, wanted: Wanted) -> Job:
    """The job with the files that its slot has taken, none if it has not."""
    if not job.spec.input.new_only or job.dates is None:
        return job
    record = Record.found_in(wanted.home(job))
    if record is None:
        return replace(job, taken=())
    with record:
        return replace(job, taken=record.took(job.dates.slot) or ())


def _foreseen(job: Job, wanted: Wanted, now: float) -> Job:
    if not job.spec.input.new_only:
        return job
    if (record := Record.found_in(wanted.home(job))) is None:
        return foreseeing_files(job, None, now)
    with record:
        return foreseeing_files(job, record, now)


def _run_date(job: Job, wanted: Wanted, slot: Slot, now: float) -> str:
    """The day on which the slot was first begun, in the schedule's time zone; today for one that was not."""
    begun = now
    if (record := Record.found_in(wanted.home(job))) is not None:
        with record:
            entry = record.entry(slot.name)
        begun = now if entry is None or entry.begun_at is None else entry.begun_at
    kept = _told_by(wanted.run_dir or runs_of(job, emulated=wanted.emulated) / slot.name, "run_date")
    return kept or datetime.fromtimestamp(begun, ZoneInfo(scheduled(job).timezone)).date().isoformat()


# -- which slot --------------------------------------------------------------------------------------------------------


def _to_look_at(job: Job, wanted: Wanted, now: float) -> Slot:
    if (slot := _chosen(job, wanted, now)) is not None:
        return slot
    names = slots_on_disk(job, emulated=wanted.emulated)
    return _named(job, names[-1]) if names else _latest(job, now)


def _to_run(job: Job, wanted: Wanted, now: float) -> Slot:
    return _chosen(job, wanted, now) or _latest(job, now)


def _chosen(job: Job, wanted: Wanted, now: float) -> Slot | None:
    """The slot that the user names, by its name, its time, or the run directory that it has."""
    told = _told_by(wanted.run_dir, "slot") if wanted.run_dir is not None else None
    if wanted.slot is None:
        return None if told is None else _named(job, told)
    return _meant(job, wanted.slot, now)


def _meant(job: Job, text: str, now: float) -> Slot:
    schedule, name = scheduled(job), job.spec.name
    if text == "now":
        return _named(job, Slot(datetime.fromtimestamp(now, UTC)).name)
    if (slot := slot_named(schedule, name, text)) is None:
        slot = _at_time(job, schedule, text)
    if slot.begins.timestamp() > now:
        raise SpecError(f"--slot {text}: this slot has not begun; it does at {slot.begins:%Y-%m-%d %H:%M} UTC.")
    on_disk = (slots_on_disk(job, emulated=emulated) for emulated in (False, True))
    if slot.name != next(slots(schedule, name, slot.at - timedelta(minutes=1))).name and not any(
        slot.name in names for names in on_disk
    ):
        raise SpecError(f"--slot {text}: the schedule has no slot at this time, and no run is of it. {_ADVICE}")
    return slot


_ADVICE = "`batchrun schedule show` has the coming ones; write a name, a time, a day, or `now`."


def _at_time(job: Job, schedule: ScheduleSpec, text: str) -> Slot:
    """The slot at a time, or the only one on a day."""
    zone = ZoneInfo(schedule.timezone)
    try:
        return _on_day(job, schedule, datetime.combine(date.fromisoformat(text), time(), zone), text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"--slot {text!r:.60}: neither a slot nor a time. {_ADVICE}") from None
    return _named(job, Slot(at if at.tzinfo else at.replace(tzinfo=zone)).name)


def _on_day(job: Job, schedule: ScheduleSpec, midnight: datetime, text: str) -> Slot:
    coming = slots(schedule, job.spec.name, midnight - timedelta(seconds=1))
    found = list(islice(takewhile(lambda slot: slot.at.date() == midnight.date(), coming), _SHOWN))
    if len(found) != 1:
        names = ", ".join(slot.name for slot in found[: _SHOWN - 1]) + (", …" if len(found) == _SHOWN else "")
        raise SpecError(f"--slot {text}: this day has {f'several: {names}' if found else 'no slot'}. {_ADVICE}")
    return found[0]


def _named(job: Job, name: str) -> Slot:
    slot = slot_named(scheduled(job), job.spec.name, name)
    if slot is None:
        raise SpecError(f"{name!r:.60} is no name of a slot, such as 2026-11-23T0200Z.")
    return slot


def _latest(job: Job, now: float) -> Slot:
    slot = latest(scheduled(job), job.spec.name, datetime.fromtimestamp(now, UTC))
    if slot is None:
        raise SpecError(f"{job.path}: no slot of the schedule has begun yet; `--slot now` runs the job all the same.")
    return slot


def _has_rows(directory: RunDir) -> bool:
    """Whether a run has taken in anything, as far as that can be told."""
    if not directory.checkpoint.is_file():
        return directory.exists
    try:
        with Reader(directory.checkpoint, older=True) as reader:
            return reader.newest_row() > 0
    except (StoreError, sqlite3.Error):
        return True


def _told_by(directory: Path, name: str) -> str | None:
    """What a run directory says of its slot."""
    checkpoint = RunDir(directory).checkpoint
    if not checkpoint.is_file():
        return None
    try:
        with Reader(checkpoint, older=True) as reader:
            return reader.meta(name)
    except (StoreError, sqlite3.Error):  # damaged: whoever opens it says so
        return None
