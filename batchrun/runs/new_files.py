"""`input.new_only`: which files a slot takes, and what became of them since.

What no slot has taken is told by content. A file that was read before and that nobody has written to since is not read
again. What a slot takes is on record before any of it is a row, and stays its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchrun.inputs.folder import Listed, content_of, list_files
from batchrun.plurals import counted
from batchrun.rows import InputFile
from batchrun.schedule.record import Record
from batchrun.spec.load import Job

_SHOWN = 5


@dataclass(frozen=True)
class _Found:
    """What there is to take, and what is to be told of the rest."""

    files: list[InputFile]
    notes: tuple[str, ...]


def with_new_files(job: Job, record: Record, now: float) -> Job:
    """The job with the files that its slot takes now or took before. Raises SpecError, StoreError."""
    if job.dates is None or not job.spec.input.new_only:
        return job
    if (before := record.took(job.dates.slot)) is not None:
        return replace(job, taken=before, notes=tuple(_changed(before, job.base)))
    found = _find(job, record, now)
    return replace(job, taken=record.take(job.dates.slot, found.files, now), notes=found.notes)


def foreseeing_files(job: Job, record: Record | None, now: float) -> Job:
    """The same for a command that only looks: nothing is written."""
    if job.dates is None or not job.spec.input.new_only:
        return job
    before = None if record is None else record.took(job.dates.slot)
    if before is not None:
        return replace(job, taken=before, notes=tuple(_changed(before, job.base)))
    found = _find(job, record, now)
    return replace(job, taken=tuple(found.files), notes=found.notes)


def _find(job: Job, record: Record | None, now: float) -> _Found:
    spec = job.spec.input
    listed = list_files(spec.files or spec.path or "", job.base, "input.files" if spec.files else "input.path")
    unusable = [f"{file.shown}: {file.problem}" for file in listed if file.problem]
    old = [file for file in listed if not file.problem and now - file.ctime_ns / 1e9 >= spec.min_age]
    young = len(listed) - len(unusable) - len(old)
    found: dict[str, InputFile] = {}
    for file in old:
        if record is None or not record.knows(file.name, file.bytes, file.ctime_ns):
            _add(found, file, job.base, record, unusable)
    notes = [f"{counted(young, 'file')} younger than `min_age`: left for the next slot"] if young else []
    return _Found(list(found.values()), (*notes, *_first(unusable)))


def _add(found: dict[str, InputFile], file: Listed, base: Path, record: Record | None, unusable: list[str]) -> None:
    """Of the same content only the first file is taken."""
    try:
        content = content_of(base / file.name)
    except OSError as error:
        unusable.append(f"{file.shown}: cannot be read: {error.strerror or error}; left for the next slot")
        return
    if record is None or not record.has_taken(content):
        found.setdefault(content, InputFile(file.name, file.bytes, file.ctime_ns, content))


def _changed(taken: Sequence[InputFile], base: Path) -> Iterator[str]:
    """What is not any more as it was when it was taken. Files that nobody has written to are not read for that."""
    yield from _first([f"{file.name}: {said}" for file in taken if (said := _what_became_of(file, base / file.name))])


def _what_became_of(file: InputFile, path: Path) -> str:
    try:
        status = path.stat()
        as_it_was = (status.st_size, status.st_ctime_ns) == (file.bytes, file.ctime_ns)
        if as_it_was or content_of(path) == file.sha256:
            return ""
    except OSError:
        return "taken by this slot, and not there any more: what was not sent of it fails"
    return "changed since this slot took it: what was not sent yet is sent as it is now"


def _first(lines: Sequence[str]) -> list[str]:
    more = [f"… and {len(lines) - _SHOWN:,} more like these"] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]
