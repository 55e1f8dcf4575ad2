"""`results.parquet`: one record per input row, its answer taken from the raw bytes of its attempts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from batchrun.interactions.models import storable
from batchrun.outputs.answers import parse_answer
from batchrun.outputs.fitting import fit
from batchrun.outputs.history import History
from batchrun.outputs.media import Medium
from batchrun.outputs.shapes import Field, Kind, Shape, Struct, answer_columns, apart, shape_of
from batchrun.outputs.table import COUNT, TEXT, TIME, Column, arrow_type, microseconds
from batchrun.rows import Outcome, key_within
from batchrun.spec.stages import STAGES
from batchrun.store.records import AttemptRecord, RowRecord

#: Columns before and after those of the input and the answer.
LEADING = ("key", "status")
TRAILING = (
    "text",
    "media",
    "interaction_id",
    "model",
    "error_class",
    "error_message",
    "attempts",
    "exchanges",
    "submitted_at",
    "finished_at",
    "prompt_sha",
    "schema_sha",
    "input_sha",
    "source",
)

FILES = pa.list_(
    pa.struct(
        {
            "file": TEXT,
            "exchange": COUNT,
            "turn": COUNT,
            "block": COUNT,
            "type": TEXT,
            "mime_type": TEXT,
            "first_page": COUNT,
            "last_page": COUNT,
            "pages": COUNT,
            "bytes": COUNT,
            "sha256": TEXT,
            "sent": TEXT,
        }
    )
)
#: Columns that only some jobs have, and what they hold of a row's history.
EXTRAS: dict[str, tuple[pa.DataType, Callable[[History], Any]]] = {
    "thoughts": (TEXT, lambda history: _storable(history.thoughts)),
    "answers": (pa.list_(TEXT), attrgetter("answers")),
    "files": (FILES, attrgetter("files")),
    "environment_id": (TEXT, attrgetter("environment_id")),
}
MEDIA = pa.list_(
    pa.struct(
        {
            "path": TEXT,
            "type": TEXT,
            "mime_type": TEXT,
            "bytes": COUNT,
            "sha256": TEXT,
            "exchange": COUNT,
            "turn": COUNT,
            "found_in": TEXT,
        }
    )
)
_NONE: Mapping[str, Any] = MappingProxyType({})
#: Where the media are, beside the results file.
MEDIA_DIRECTORY = "media"


class UnfitInput(Exception):
    """An input column holds a value that its type cannot: write again with this column as JSON text."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class UnfitOutput(Exception):
    """A transform's output holds a value that its column cannot: write again with all of them as JSON text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one results file that depend on the job: input columns (in order), the answer's, EXTRAS, and
    the outputs of the `stages` before. A transform's answer is its `output`."""

    inputs: tuple[Field, ...]
    answer: Struct
    whole: bool
    """True if the answer is one column, not one per property."""
    extras: tuple[str, ...] = ()
    stages: tuple[Field, ...] = ()
    output: bool = False

    @classmethod
    def of(
        cls,
        schema: dict[str, Any] | None,
        inputs: Mapping[str, Kind],
        extras: tuple[str, ...] = (),
        stages: Mapping[str, Shape] | None = None,
        output: Shape | None = None,
    ) -> Layout:
        ours = (*LEADING, *TRAILING, *extras)
        names = apart(inputs, ours, "input_")
        fields = tuple(map(Field, inputs, names, inputs.values()))
        shape = output if schema is None else shape_of(schema)
        answer = Struct(()) if shape is None else answer_columns(shape, (*ours, *names))
        taken = (*ours, *names, *(field.column for field in answer.fields))
        outputs = stages or {}
        before = tuple(map(Field, outputs, apart(outputs, taken, "stage_"), outputs.values()))
        whole = shape is not None and not isinstance(shape, Struct)
        return cls(fields, answer, whole, extras, before, output is not None)


@dataclass(frozen=True, slots=True)
class Result:
    """One row as the outputs show it. `answer` is the parsed answer, `fields` the values of its columns.

    `media` are the files that came with it, each after its attempt, `extras` the values of the layout's EXTRAS.
    """

    row: RowRecord
    text: str | None
    answer: object
    fields: dict[str, Any]
    error_class: str | None
    error_message: str | None
    media: Sequence[tuple[AttemptRecord, Medium]] = ()
    extras: Mapping[str, Any] = field(default_factory=lambda: _NONE)

    @property
    def size(self) -> int:
        """Bytes this result may hold, roughly."""
        raw = self.row.attempt.raw if self.row.attempt else None
        earlier = sum(len(attempt.raw or b"") for attempt in self.row.earlier) if self.row.earlier else 0
        return 1_000 + 2 * (len(raw or b"") + earlier) + _weight(self.row.data)


def result_of(row: RowRecord, layout: Layout, history: History) -> Result:
    """The result of a row; only a row that succeeded has an answer.

    An answer that cannot be read or does not fit its columns (the engine checks both before a row succeeds) is shown
    as an error of class `output_misfit`, never as a wrong value.
    """
    text = history.text
    said = history.media, {name: EXTRAS[name][1](history) for name in layout.extras} if layout.extras else _NONE
    if row.outcome != Outcome.SUCCEEDED or not layout.answer.fields:
        return Result(row, text, None, {}, row.error_class, row.error_message, *said)
    try:
        answer = json.loads(row.output or "null") if layout.output else parse_answer(text or "")
    except ValueError as error:
        return Result(row, text, None, {}, "output_misfit", str(error), *said)
    value = {layout.answer.fields[0].name: answer} if layout.whole else answer
    fields, problems = fit(value, layout.answer)
    if problems and layout.output:
        raise UnfitOutput
    if problems:
        return Result(row, text, answer, {}, "output_misfit", "; ".join(problems), *said)
    return Result(row, text, answer, fields or {}, row.error_class, row.error_message, *said)


def columns(layout: Layout, schema_sha: str | None) -> list[Column[Result]]:
    """The columns of `results.parquet` in order."""
    return [
        Column("key", TEXT, lambda r: storable(key_within(r.row.stage, r.row.key))),
        Column("status", TEXT, lambda r: r.row.outcome or "pending"),
        *(Column(f.column, arrow_type(f.shape), _input(f)) for f in layout.inputs),
        *(Column(f.column, arrow_type(f.shape), _answer(f.column)) for f in layout.answer.fields),
        *(Column(f.column, arrow_type(f.shape), _stage_output(f)) for f in layout.stages),
        Column("text", TEXT, lambda r: _storable(r.text)),
        *(Column(name, EXTRAS[name][0], _extra(name)) for name in layout.extras),
        Column("media", MEDIA, lambda r: media_records(r) or None),
        Column("interaction_id", TEXT, lambda r: r.row.standing and r.row.standing.interaction_id),
        Column("model", TEXT, lambda r: r.row.standing and _storable(r.row.standing.model)),
        Column("error_class", TEXT, lambda r: _storable(r.error_class)),
        Column("error_message", TEXT, lambda r: _storable(r.error_message)),
        Column("attempts", COUNT, attrgetter("row.attempts")),
        Column("exchanges", COUNT, attrgetter("row.exchanges")),
        Column("submitted_at", TIME, lambda r: r.row.standing and microseconds(r.row.standing.submitted_at)),
        Column("finished_at", TIME, lambda r: microseconds(r.row.finished_at)),
        Column("prompt_sha", TEXT, lambda r: r.row.standing and r.row.standing.request_sha),
        Column("schema_sha", TEXT, lambda r: schema_sha),
        Column("input_sha", TEXT, attrgetter("row.input_sha")),
        Column("source", TEXT, lambda r: storable(r.row.source)),
    ]


def _weight(value: object) -> int:
    """Bytes a JSON value takes in memory, roughly."""
    total, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        total += 50 + (len(part) if isinstance(part, str) else 0)
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return total


def media_records(result: Result) -> list[dict[str, Any]]:
    """The files that came with an answer, as the outputs show them."""
    return [
        {
            "path": f"{MEDIA_DIRECTORY}/{medium.name}",
            "type": medium.type,
            "mime_type": medium.mime_type,
            "bytes": medium.bytes,
            "sha256": medium.sha256,
            "exchange": attempt.exchange,
            "turn": attempt.turn,
            "found_in": medium.found_in,
        }
        for attempt, medium in result.media
    ]


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _extra(name: str) -> Callable[[Result], Any]:
    return lambda result: result.extras.get(name)


def _answer(column: str) -> Callable[[Result], Any]:
    return lambda result: result.fields.get(column)


def _stage_output(wanted: Field) -> Callable[[Result], Any]:
    """The output of a stage before the row's; null where it does not fit, as where there is none."""

    def value(result: Result) -> Any:
        found = (result.row.data or {}).get(STAGES, {}).get(wanted.name, {}).get("output")
        return None if found is None else fit(found, wanted.shape)[0]

    return value


def _input(wanted: Field) -> Callable[[Result], Any]:
    def value(result: Result) -> Any:
        fitted, problems = fit((result.row.data or {}).get(wanted.name), wanted.shape)
        if problems:
            raise UnfitInput(wanted.name)
        return fitted

    return value
