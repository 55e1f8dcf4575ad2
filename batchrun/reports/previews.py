"""What a run would do, without doing it: nothing is sent, nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from batchrun.engine.media import Libraries
from batchrun.errors import RowError, SpecError
from batchrun.inputs.media import Library
from batchrun.inputs.read import read_rows
from batchrun.reports.standing import Known
from batchrun.rows import InputRow
from batchrun.runs.changes import Changes
from batchrun.runs.directory import RunDir, require_job
from batchrun.runs.forecast import Forecast, forecast
from batchrun.spec.dating import shadowed
from batchrun.spec.load import Job
from batchrun.store.reader import Reader

#: Rows that are rendered for the estimate; the rest are taken to be like them.
_SAMPLE = 200
_SHOWN_PROBLEMS = 10
#: How rows stand that a run would POST.
TO_SEND = ("new", "pending", "in doubt")


@dataclass(frozen=True, slots=True)
class ShownRow:
    """The requests of one row, in their order, long base64 data left out. `begun` interactions of it were made."""

    key: str
    requests: list[dict[str, Any]]
    begun: int = 0


@dataclass(frozen=True, slots=True)
class StagePreview:
    """The rows of a stage as far as they are known, by how they stand; `transforms` if nothing is sent for them.

    `waits` is true where others will follow from rows that have yet to end: `more` at most, None if nobody can know.
    """

    standing: Counter[str]
    transforms: bool
    waits: bool = False
    more: int | None = None

    @property
    def to_send(self) -> int:
        """Its rows that a run would POST."""
        return 0 if self.transforms else sum(self.standing[name] for name in TO_SEND)


@dataclass
class Preview:
    """What reading the whole input and rendering its first rows found. `problems` name rows and say what is wrong.

    `warnings` are about settings that do nothing for these rows. Of `tried` rows so many were `rendered`; `tokens`,
    `least`, `most` and `left_out` are those of their forecasts together; `talks` is true if one of them foresees
    several interactions. `stages` are those of a pipeline.
    """

    rows: int = 0
    unreadable: int = 0
    tried: int = 0
    rendered: int = 0
    tokens: int = 0
    least: int = 0
    most: int = 0
    talks: bool = False
    left_out: dict[str, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    more_problems: int = 0
    duplicates: int = 0
    changes: Changes = field(default_factory=Changes)
    standing: Counter[str] = field(default_factory=Counter)
    shown: list[ShownRow] = field(default_factory=list)
    stages: dict[str, StagePreview] = field(default_factory=dict)

    @property
    def problem_lines(self) -> list[str]:
        """The first problems, and how many more there are."""
        more = [f"… and {self.more_problems:,} more like these"] if self.more_problems else []
        return [*self.problems, *more]

    @property
    def refused(self) -> bool:
        """True if `run` would refuse to start."""
        return bool(self.duplicates or self.changes.refused)

    @property
    def to_send(self) -> int:
        """Rows that a run would POST."""
        return sum(self.standing[name] for name in TO_SEND)

    @property
    def estimated_tokens(self) -> int | None:
        """Input tokens of all rows to send, from the rendered ones; None if none could be rendered."""
        return self._of_all(self.tokens)

    @property
    def more_follow(self) -> bool:
        """Whether others may have to be sent that follow from these."""
        return any(stage.waits for stage in self.stages.values())

    @property
    def interactions(self) -> tuple[int, int] | None:
        """The least and the most interactions of all rows to send; None if none could be rendered."""
        least, most = self._of_all(self.least), self._of_all(self.most)
        return None if least is None or most is None else (least, most)

    def _of_all(self, of_rendered: int) -> int | None:
        return round(of_rendered / self.tried * self.to_send) if self.rendered else None

    def hold_beyond(self, allowance: int) -> None:
        """Of the rows in doubt a run sends no more again than that."""
        beyond = self.standing["in doubt"] - allowance
        if beyond > 0:
            self.standing["in doubt"] -= beyond
            self.standing["beyond allowance"] = beyond


def preview(job: Job, directory: RunDir | None, *, limit: int | None = None, show: int = 0) -> Preview:
    """Read every row, render the first ones with their media. The requests of `show` rows are kept, without media.

    Raises SpecError for what is wrong with the file as a whole.
    """
    found, sample = Preview(), max(_SAMPLE, show)
    reader, libraries = _reader(job, directory), Libraries()
    known = None if reader is None or directory is None else Known(job, reader, directory.media, libraries)
    columns: set[str] = set()
    try:
        for row in _noting_duplicates(read_rows(job.spec.input, job.base, limit=limit, taken=job.taken), job, found):
            standing = "unreadable" if row.problem else "new" if known is None else known.standing(row)
            found.standing[standing] += 1
            found.rows += 1
            columns |= set(row.data or ())
            if row.problem is not None:
                found.unreadable += 1
                complain(found, f"{row.problem.message} ({row.problem.kind})")
            elif standing in TO_SEND and found.tried < sample:
                _render(job, row, found, show, libraries.of(job), known)
        if known is not None:
            found.changes = known.changes(complete=limit is None)
            found.hold_beyond(known.allowance(found.rows))
    finally:
        libraries.close()
        if reader is not None:
            reader.close()
    _check_columns(job, found, columns)
    return found


def _check_columns(job: Job, found: Preview, columns: set[str]) -> None:
    for name in sorted(job.dates_read & columns):
        complain(found, shadowed(name))
    for name in job.spec.output.columns:
        if name not in columns and found.rows > found.unreadable:
            close = get_close_matches(name, columns, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            complain(found, f"output.columns: no row has the column {name!r}{hint}")
    request = job.spec.request
    if "column" in request.model_fields_set and request.column not in columns and found.rows > found.unreadable:
        close = get_close_matches(request.column, columns, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ", so no row brings a request of its own"
        found.warnings.append(f"{job.path}: request.column: no row has the column {request.column!r}{hint}")


def _reader(job: Job, directory: RunDir | None) -> Reader | None:
    """The run so far, None where there is none. Raises SpecError if it is another job's."""
    if directory is None or not directory.exists:
        return None
    reader = Reader(directory.checkpoint)
    try:
        require_job(job, directory, reader)
    except SpecError:
        reader.close()
        raise
    return reader


def _noting_duplicates(rows: Iterator[InputRow], job: Job, found: Preview) -> Iterator[InputRow]:
    """Repeated keys are an error of the file; content keys repeat harmlessly and are numbered."""
    seen: dict[str, tuple[int, str]] = {}
    for row in rows:
        times, first = seen.get(row.key, (0, row.source))
        seen[row.key] = times + 1, first
        if times and job.spec.input.key is not None:
            found.duplicates += 1
            complain(found, f"{row.source}: key {row.key!r} is already used at {first}")
        numbered = times and job.spec.input.key is None
        yield replace(row, key=f"{row.key}-{times + 1}") if numbered else row


def _render(job: Job, row: InputRow, found: Preview, show: int, library: Library, known: Known | None) -> None:
    assert row.data is not None
    found.tried += 1
    try:
        begun = () if known is None else known.begun(row.key, row.data) or ()
        expected = forecast(job, row.data, library, begun, media=None if known is None else known.media)
    except RowError as error:
        complain(found, f"{row.source}: {error} ({error.kind})")
        return
    found.tokens += expected.tokens
    found.least += expected.least
    found.most += expected.most
    keep_rendered(found, row.key, expected, len(begun), show)


def keep_rendered(found: Preview, key: str, expected: Forecast, begun: int, show: int) -> None:
    """Note a row whose requests could be made, of which so many were sent already; of the first `show` keep them."""
    found.rendered += 1
    found.talks |= expected.least > 1
    found.left_out |= dict.fromkeys(expected.left_out)
    if len(found.shown) < show:
        found.shown.append(ShownRow(key, [without_data(body) for body in expected.requests], begun))


def complain(found: Preview, problem: str) -> None:
    """Note a problem; of many only the first are kept."""
    if len(found.problems) < _SHOWN_PROBLEMS:
        found.problems.append(problem)
    else:
        found.more_problems += 1


def without_data(value: Any) -> Any:
    """`value` with long base64 data replaced by its length."""
    if isinstance(value, list):
        return [without_data(item) for item in value]
    if not isinstance(value, dict):
        return value
    data = value.get("data")
    short = {"data": f"<{len(data):,} characters of base64>"} if isinstance(data, str) and len(data) > 80 else {}
    return {name: without_data(item) for name, item in value.items()} | short
