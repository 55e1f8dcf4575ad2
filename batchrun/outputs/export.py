"""Makes the output files from what the store tells. No network, no decisions: every file can be made again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from batchrun.errors import InvariantError, StoreError
from batchrun.outputs import citations, jsonl, results, usage
from batchrun.outputs.context import ExportContext
from batchrun.outputs.files import reading, replacing
from batchrun.outputs.history import History
from batchrun.outputs.media_files import filling, share, tidy
from batchrun.outputs.results import MEDIA_DIRECTORY, Layout, Result, UnfitInput, UnfitOutput
from batchrun.outputs.shapes import Kind, Shape, input_kind, json_paths, output_shape, shape_of
from batchrun.outputs.steps import step_lines
from batchrun.outputs.table import Table
from batchrun.store.columns import input_types, output_types
from batchrun.store.records import AttemptRecord, RowRecord, ToolCallRecord

#: The files by name, and the wish of the context without which there is none.
FILES = {
    "results": ("results.parquet", ""),
    "usage": ("usage.parquet", ""),
    "failed": ("failed.jsonl", ""),
    "results_jsonl": ("results.jsonl", "jsonl"),
    "citations": ("citations.parquet", "citations"),
    "steps": ("steps.jsonl", "steps"),
}


class Source(Protocol):
    """Where the outputs come from. Each call starts at the top; nothing may change between two calls of one export."""

    def rows(self, stage: str = "") -> Iterator[RowRecord]:
        """Every row of a stage in input order, with `attempt.raw`."""

    def attempts(self, *, raw: bool = False) -> Iterator[AttemptRecord]:
        """Every attempt by row position and number; the answer's bytes are read if `raw` is true."""

    def tool_calls(self, attempt_id: int) -> Iterable[ToolCallRecord]:
        """The functions that were run for an attempt's answer."""

    @property
    def connection(self) -> sqlite3.Connection:
        """Where `store.columns` finds the types of values."""


def export(source: Source, directory: Path, context: ExportContext) -> dict[str, Path]:
    """Writes the files into `directory`; returns their paths by name.

    Always `results`, `usage` and `failed`; as the context says, `results_jsonl`, `citations` and `steps`, and for each
    stage `stages.NAME`; and `media`, a directory, if there are any. They replace older ones at the end, once all are
    written. Raises StoreError where the disk refuses, and what `source` raises; then the older ones stay.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = source.connection
    kinds = {column: input_kind(input_types(db, column)) for column in context.columns}
    shapes = {table.name: output_shape(output_types(db, table.name)) for table in context.tables if table.transforms}
    while True:
        try:
            return _export(source, directory, context, Layouts(context, kinds, shapes))
        except UnfitInput as unfit:
            kinds[unfit.column] = Kind.JSON
        except UnfitOutput:
            shapes = dict.fromkeys(shapes, Kind.JSON)


class Layouts:
    """How the results look, and the table of each stage. `shapes` are those of the outputs of transforms."""

    def __init__(self, context: ExportContext, kinds: dict[str, Kind], shapes: Mapping[str, Shape]) -> None:
        self.of = {
            table.name: Layout.of(table.schema, kinds, table.extras, output=shapes.get(table.name))
            for table in context.tables
        }
        last = next(table for table in context.tables if table.name == context.last)
        before = {name: Kind.STRING if schema is None else shape_of(schema) for name, schema in last.outputs.items()}
        output = shapes.get(last.name)
        self.results = Layout.of(last.schema, kinds, last.extras, before, output)


def check_written(outputs: dict[str, Path], *, rows: int, attempts: int) -> None:
    """Raises InvariantError unless the files hold every row and every attempt, by their own footers.

    Raises StoreError where they cannot be read back.
    """
    for name, expected in (("results", rows), ("usage", attempts)):
        try:
            found = pq.read_metadata(outputs[name]).num_rows
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"{outputs[name]}: cannot read back what was written: {error}. Nothing is lost: mend the disk, then "
                "`batchrun export`."
            ) from error
        if found != expected:
            raise InvariantError(f"{outputs[name]}: {found} records were written of {expected}; please report this")


def hashes_of(outputs: dict[str, Path]) -> dict[str, str]:
    """The hex SHA-256 of each file. Raises StoreError."""
    found = {}
    for name, path in outputs.items():
        if not path.is_dir():
            with reading(path) as file:
                found[name] = file_digest(file, "sha256").hexdigest()
    return found


def stage_file(stage: str) -> str:
    """Where a stage's table is, from the directory of the outputs on."""
    return f"stages/{stage}/results.parquet"


def _export(source: Source, directory: Path, context: ExportContext, layouts: Layouts) -> dict[str, Path]:
    wanted = {name: not unless or getattr(context, unless) for name, (_, unless) in FILES.items()}
    paths = {name: directory / file for name, (file, _) in FILES.items() if wanted[name]}
    paths |= {f"stages.{stage.name}": directory / stage_file(stage.name) for stage in context.stages}
    for stage in context.stages:
        (directory / stage_file(stage.name)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    media = directory / MEDIA_DIRECTORY
    if context.media is not None:
        tidy(context.media)
    with ExitStack() as stack:
        drafts = {name: stack.enter_context(replacing(path)) for name, path in paths.items()}
        names = _write_rows(source, drafts, context, layouts)
        _write_usage(source, drafts["usage"], context)
        if context.steps:
            _write_steps(source, drafts["steps"])
        if names and context.media is not None and context.media != media:
            with filling(media):
                share(names, context.media, media)
    return paths | ({"media": media} if media.is_dir() else {})


def _write_rows(source: Source, drafts: dict[str, Path], context: ExportContext, layouts: Layouts) -> set[str]:
    """Writes what is told row by row; returns the names of the media."""
    media: set[str] = set()
    with ExitStack() as stack:
        table = stack.enter_context(_results(drafts["results"], layouts.results, context, context.schema_sha))
        cited = stack.enter_context(_citations(drafts["citations"], context)) if context.citations else None
        failed = stack.enter_context(drafts["failed"].open("wb"))
        lines = stack.enter_context(drafts["results_jsonl"].open("wb")) if context.jsonl else None
        listed: set[int] = set()
        for row, history, own in _rows(source, drafts, context, layouts):
            result = results.result_of(row, layouts.results, history) if row.stage == context.last else own
            if result.media:
                media.update(medium.name for _, medium in result.media)
            if not row.stage or row.position not in listed:
                _write_line(failed, failure := jsonl.failed_line(result))
                listed.update((row.position,) if row.stage and failure else ())
            if cited:
                for citation in citations.citations_of(history):
                    cited.add(citation, citation.size)
            if row.stage != context.last:
                continue
            table.add(result, result.size)
            if lines:
                _write_line(lines, jsonl.result_line(result, layouts.results, context.schema_sha))
    return media


def _rows(
    source: Source, drafts: dict[str, Path], context: ExportContext, layouts: Layouts
) -> Iterator[tuple[RowRecord, History, Result]]:
    """The rows of every stage, each written into its stage's table; a job without stages has no such tables."""
    for stage in context.tables:
        layout = layouts.of[stage.name]
        with ExitStack() as stack:
            table = None
            if stage.name:
                table = stack.enter_context(
                    _results(drafts[f"stages.{stage.name}"], layout, context, stage.schema_sha, stage.name)
                )
            for row in source.rows(stage.name) if stage.name else source.rows():
                history = History.of(row)
                own = results.result_of(row, layout, history)
                if table is not None:
                    table.add(own, own.size)
                yield row, history, own


def _results(
    draft: Path, layout: Layout, context: ExportContext, schema_sha: str | None, stage: str = ""
) -> Table[Result]:
    metadata = {**_metadata(context, "results"), "batchrun.json_columns": _json_columns(layout)}
    if stage:
        metadata["batchrun.stage"] = stage
    return Table(draft, results.columns(layout, schema_sha), metadata)


def _citations(draft: Path, context: ExportContext) -> Table[citations.Citation]:
    return Table(draft, citations.columns(), _metadata(context, "citations"))


def _write_line(file: BinaryIO, line: bytes | None) -> None:
    if line is not None:
        file.write(line)


def _write_usage(source: Source, draft: Path, context: ExportContext) -> None:
    with Table(draft, usage.columns(), _metadata(context, "usage")) as table:
        for attempt in source.attempts(raw=context.searches):
            table.add(usage.used(attempt), 1_000 + len(attempt.raw or b""))


def _write_steps(source: Source, draft: Path) -> None:
    with draft.open("wb") as file:
        for attempt in source.attempts(raw=True):
            file.writelines(step_lines(attempt, source.tool_calls(attempt.id)))


def _metadata(context: ExportContext, table: str) -> dict[str, str]:
    facts = {
        "table": table,
        "job": context.job,
        "run_id": context.run_id,
        "version": context.version,
        "emulated": "true" if context.emulated else "false",
        "schema_sha": context.schema_sha,
        "request_sha": context.request_sha,
        "pyarrow": pa.__version__,
    }
    return {f"batchrun.{name}": value for name, value in facts.items() if value is not None}


def _json_columns(layout: Layout) -> str:
    return ",".join(json_paths((*layout.inputs, *layout.answer.fields, *layout.stages)))
