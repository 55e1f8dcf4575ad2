"""Rows and attempts as the store would tell of them, with everything overridable."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from batchrun.outputs.context import ExportContext
from batchrun.outputs.export import export
from batchrun.store.records import AttemptRecord, AttemptState, RowRecord

NO_ANSWER = object()


def raw_answer(text: str, **fields: Any) -> bytes:
    """The body of a completed interaction that says `text`."""
    step = {"type": "model_output", "content": [{"type": "text", "text": text}]}
    return json.dumps({"id": "v1_abc", "status": "completed", "steps": [step], **fields}).encode()


def an_attempt(answer: object = NO_ANSWER, **overrides: Any) -> AttemptRecord:
    """A fetched attempt; `answer` is a JSON value the model gave, or use `raw`."""
    fields: dict[str, Any] = {
        "id": 1,
        "row_id": 1,
        "key": "a",
        "number": 1,
        "stage": "main",
        "exchange": 0,
        "turn": 0,
        "state": AttemptState.FETCHED,
        "evidence": "S",
        "intent_key": "intent-1",
        "request_sha": "f00d",
        "agent": False,
        "model": "gemini-3.5-flash",
        "interaction_id": "v1_abc",
        "interaction_status": "completed",
        "service_tier": "standard",
        "posts": 1,
        "polls": 2,
        "http_status": 200,
        "error_class": None,
        "error_message": None,
        "intent_at": 1_700_000_000.0,
        "submitted_at": 1_700_000_000.25,
        "fetched_at": 1_700_000_003.5,
        "superseded_at": None,
        "purged_at": None,
        "usage": {"total_tokens": 49},
        "files": (),
        "raw": None if answer is NO_ANSWER else raw_answer(json.dumps(answer)),
    }
    return AttemptRecord(**{**fields, **overrides})


def a_row(answer: object = NO_ANSWER, **overrides: Any) -> RowRecord:
    """A row that succeeded with `answer`."""
    fields: dict[str, Any] = {
        "id": 1,
        "position": 0,
        "key": "a",
        "source": "rows.jsonl:1",
        "input_sha": "beef",
        "data": {"question": "why?"},
        "outcome": "succeeded",
        "error_class": None,
        "error_message": None,
        "finished_at": 1_700_000_004.0,
        "stage": "",
        "attempts": 1,
    }
    if "attempt" not in overrides:
        overrides["attempt"] = an_attempt(answer)
    return RowRecord(**{**fields, **overrides})


@dataclass
class Memory:
    """A source of rows that are in memory. `types` is derived from the rows unless given."""

    found: Sequence[RowRecord]
    tried: Sequence[AttemptRecord] = ()
    types: dict[str, set[str]] = field(default_factory=dict)

    def rows(self, stage: str = "") -> Iterator[RowRecord]:
        yield from self.found

    def attempts(self, *, raw: bool = False) -> Iterator[AttemptRecord]:
        yield from (attempt if raw else replace(attempt, raw=None) for attempt in self.tried)

    @property
    def connection(self) -> sqlite3.Connection:
        """A database of the rows' values alone, and of one value of each type in `types`."""
        db = sqlite3.connect(":memory:")
        db.execute("CREATE TABLE row (data TEXT, stage TEXT NOT NULL DEFAULT '', output TEXT)")
        given = [{column: _SAMPLES[kind]} for column, kinds in self.types.items() for kind in kinds]
        db.executemany("INSERT INTO row (data) VALUES (?)", [(json.dumps(data),) for data in given or self._data()])
        return db

    def _data(self) -> list[dict[str, Any]]:
        return [row.data for row in self.found if row.data is not None]


_SAMPLES = {
    "true": True,
    "false": False,
    "integer": 1,
    "real": 1.5,
    "text": "a",
    "object": {},
    "array": [],
    "null": None,
}


def a_context(**overrides: Any) -> ExportContext:
    fields: dict[str, Any] = {
        "job": "demo",
        "run_id": "demo-1",
        "version": "0.1.0",
        "schema": None,
        "columns": (),
        "jsonl": False,
        "emulated": False,
        "schema_sha": "5c4e",
        "request_sha": "4e9",
    }
    return ExportContext(**{**fields, **overrides})


def exported(directory: Path, rows: Sequence[RowRecord], **context: Any) -> list[dict[str, Any]]:
    """The records of `results.parquet` made from `rows`."""
    paths = export(Memory(rows), directory, a_context(**context))
    return _records(paths["results"])


def exported_usage(directory: Path, *attempts: AttemptRecord) -> list[dict[str, Any]]:
    """The records of `usage.parquet` made from `attempts`."""
    paths = export(Memory([], attempts), directory, a_context())
    return _records(paths["usage"])


def _records(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path, page_checksum_verification=True).to_pylist()
    return found


def an_object(**properties: Any) -> dict[str, Any]:
    """The schema of an object with these properties, each a schema or the name of a type."""
    return {
        "type": "object",
        "properties": {name: {"type": p} if isinstance(p, str) else p for name, p in properties.items()},
    }
