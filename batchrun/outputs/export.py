"""Makes the output files from what the store tells. No network, no decisions: every file can be made again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from batchrun.errors import InvariantError
from batchrun.outputs import jsonl, results, usage
from batchrun.outputs.files import replacing
from batchrun.outputs.results import Layout, UnfitInput
from batchrun.outputs.shapes import Kind, input_kind, json_paths
from batchrun.outputs.table import Table
from batchrun.store.records import AttemptRecord, RowRecord


class Source(Protocol):
    """Where the outputs come from. Each call starts at the top; nothing may change between two calls of one export."""

    def rows(self) -> Iterator[RowRecord]:
        """Every row in input order, with `attempt.raw`."""

    def attempts(self) -> Iterator[AttemptRecord]:
        """Every attempt by row position and number; `raw` is not read."""

    def input_types(self, column: str) -> set[str]:
        """SQLite `json_type` names of the values in an input column."""


@dataclass(frozen=True)
class ExportContext:
    """What the files say about the run. `schema` is the answer's JSON Schema, `columns` the input columns wanted."""

    job: str
    run_id: str
    version: str
    schema: dict[str, Any] | None
    columns: tuple[str, ...]
    jsonl: bool
    emulated: bool
    schema_sha: str | None = None
    request_sha: str | None = None


def export(source: Source, directory: Path, context: ExportContext) -> dict[str, Path]:
    """Writes the files into `directory`; returns their paths: `results`, `usage`, `failed`, on request `results_jsonl`.

    They replace older ones at the end, once all are written. Raises StoreError where the disk refuses, and what
    `source` raises; then the older ones stay.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    kinds = {column: input_kind(source.input_types(column)) for column in context.columns}
    while True:
        try:
            return _export(source, directory, context, Layout.of(context.schema, kinds))
        except UnfitInput as unfit:
            kinds[unfit.column] = Kind.JSON


def check_written(outputs: dict[str, Path], *, rows: int, attempts: int) -> None:
    """Raises InvariantError unless the files hold every row and every attempt, by their own footers."""
    for name, expected in (("results", rows), ("usage", attempts)):
        found = pq.read_metadata(outputs[name]).num_rows
        if found != expected:
            raise InvariantError(f"{outputs[name]}: {found} records were written of {expected}; please report this")


def _export(source: Source, directory: Path, context: ExportContext, layout: Layout) -> dict[str, Path]:
    paths = {"results": directory / "results.parquet", "usage": directory / "usage.parquet"}
    paths |= {"failed": directory / "failed.jsonl"}
    paths |= {"results_jsonl": directory / "results.jsonl"} if context.jsonl else {}
    with ExitStack() as stack:
        drafts = {name: stack.enter_context(replacing(path)) for name, path in paths.items()}
        _write_results(source, drafts, context, layout)
        _write_usage(source, drafts["usage"], context)
    return paths


def _write_results(source: Source, drafts: dict[str, Path], context: ExportContext, layout: Layout) -> None:
    columns = results.columns(layout, context.schema_sha)
    metadata = {**_metadata(context, "results"), "batchrun.json_columns": _json_columns(layout)}
    with ExitStack() as stack:
        table = stack.enter_context(Table(drafts["results"], columns, metadata))
        failed = stack.enter_context(drafts["failed"].open("wb"))
        lines = stack.enter_context(drafts["results_jsonl"].open("wb")) if context.jsonl else None
        for row in source.rows():
            result = results.result_of(row, layout)
            table.add(result, result.size)
            _write_line(failed, jsonl.failed_line(result))
            if lines:
                _write_line(lines, jsonl.result_line(result, layout, context.schema_sha))


def _write_line(file: BinaryIO, line: bytes | None) -> None:
    if line is not None:
        file.write(line)


def _write_usage(source: Source, draft: Path, context: ExportContext) -> None:
    with Table(draft, usage.columns(), _metadata(context, "usage")) as table:
        for attempt in source.attempts():
            table.add(usage.used(attempt), 1_000)


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
    return ",".join(json_paths((*layout.inputs, *layout.answer.fields)))
