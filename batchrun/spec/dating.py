"""What a job's slot is called, put into the places of a job file that may speak of it: prompts, conditions, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from batchrun.errors import RowError, SpecError
from batchrun.spec.compiling import Complaints, Source, placed, request_sources
from batchrun.spec.model import JobSpec
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.rendering.constants import expression_with_constants, with_constants
from batchrun.spec.rendering.templates import SLOT_NAMES, Condition, Template, columns_of

#: Settings that are a path; in a job with a schedule a template of the dates alone.
_PATHS: tuple[KeyPath, ...] = (("input", "path"), ("input", "files"), ("output", "dir"))
_IN_BRACES = re.compile(r"\{\{-?\s*(" + "|".join(SLOT_NAMES) + r")\b")


@dataclass(frozen=True, slots=True)
class Dates:
    """The slot that a scheduled job is loaded for.

    `slot` is its name (`2026-11-23T0200Z`), `date` its day in the schedule's time zone, `run_date` the day on which it
    was first begun.
    """

    slot: str
    date: str
    run_date: str


#: Stand for themselves where no slot is chosen: enough to check the file.
ANY = Dates(slot="{{ slot }}", date="{{ date }}", run_date="{{ run_date }}")


def fill_in(spec: JobSpec, dates: Dates, told: Complaints) -> frozenset[str]:
    """Put the dates into the document that a spec was made of. Returns the names that its templates read.

    What is wrong is told.
    """
    values, read = asdict(dates), frozenset[str]()
    for path, kind, source in _sources(spec):
        fill = expression_with_constants if kind is Condition else with_constants
        try:
            text, names = fill(source, values)
        except SpecError as error:
            told.refuse(path, str(error))
            continue
        read |= names
        if names:
            _put(told.document.data, path, text)
    for path in _PATHS:
        _fill_in_path(path, values, told)
    if spec.output.dir is not None and not columns_of(spec.output.dir) & values.keys():
        said = "each slot would replace the results of the one before: write `out/date={{ date }}`, or `{{ slot }}`"
        told.refuse(("output", "dir"), said)
    return read


def refuse_dates(told: Complaints) -> None:
    """A job without a schedule has no dates for its paths; what is wrong is told."""
    for path in _PATHS:
        if found := _IN_BRACES.search(_written(path, told) or ""):
            said = f"`{{{{ {found[1]} }}}}` is filled in only in a job with a `schedule`, and this one has none"
            told.refuse(path, f"{said}: add a `schedule`, or write the path out")


def shadowed(name: str) -> str:
    """What to say where rows have a column that is called like one of the dates which templates read."""
    return (
        f"a template reads `{name}`, which is the slot's in a job with a `schedule`, and the input has a column "
        f"{name!r} too. Write `row.{name}` for the column; to send the slot's, rename the column."
    )


def _sources(spec: JobSpec) -> Iterator[Source]:
    """Every template and condition, with its place in the job file."""
    if spec.input.where is not None:
        yield ("input", "where"), Condition, spec.input.where
    yield from request_sources(spec.request)
    for name, stage in (spec.stages or {}).items():
        if stage.when is not None:
            yield ("stages", name, "when"), Condition, stage.when
        for path, kind, source in request_sources(stage.request) if stage.request else ():
            yield placed(path, ("stages", name, "request")), kind, source


def _fill_in_path(path: KeyPath, values: dict[str, str], told: Complaints) -> None:
    if (written := _written(path, told)) is None:
        return
    try:
        _put(told.document.data, path, Template(written).render(values))
    except (SpecError, RowError) as error:
        told.refuse(path, f"{error}. A path may read {', '.join(f'{{{{ {each} }}}}' for each in values)}")


def _written(path: KeyPath, told: Complaints) -> str | None:
    """The text at a place of the job file, None where there is none."""
    section, name = path
    written = (told.document.data.get(section) or {}).get(name)
    return written if isinstance(written, str) else None


def _put(data: Any, path: KeyPath, value: str) -> None:
    *to, last = path
    for step in to:
        data = data[step]
    data[last] = value
