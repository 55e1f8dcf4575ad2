"""The rows of a job, one after the other: read, named, filtered. Nothing is kept.

A row that cannot be used is yielded with its Problem. A row whose `where` cannot be evaluated is such a row: it is
better seen than left out silently. `limit` counts every row that is yielded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from batchrun.errors import RowError, SpecError
from batchrun.inputs.draft import Draft
from batchrun.inputs.folder import file_row, folder_rows
from batchrun.inputs.jsonl import gzip_rows, jsonl_rows
from batchrun.inputs.parquet import parquet_rows
from batchrun.inputs.sources import Kind, Source, Taken, find_documents, find_sources, fingerprint
from batchrun.rows import InputRow, Problem
from batchrun.spec.canonical import canonical_json
from batchrun.spec.model import InputSpec
from batchrun.spec.rendering.templates import Condition

__all__ = ["fingerprint", "read_rows"]

MAX_KEY_LENGTH = 512
_KEY_LENGTH = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_READERS: dict[Kind, Callable[[BinaryIO, str, int], Iterator[Draft]]] = {
    "jsonl": jsonl_rows,
    "gzip": gzip_rows,
    "parquet": parquet_rows,
}


def read_rows(
    spec: InputSpec, base: Path, stdin: BinaryIO | None = None, limit: int | None = None, taken: Taken = None
) -> Iterator[InputRow]:
    """The rows of an input section, in constant memory but for the names of its files; only of the files that a slot
    has `taken`, where that is given. `limit` goes before `spec.limit` where it is smaller.

    Raises SpecError, possibly after some rows: a file is missing or unreadable, gzip or Parquet data is damaged.
    """
    condition = None if spec.where is None else Condition(spec.where)
    drafts = _drafts(spec, base, stdin, taken)
    rows = (row for draft in drafts if (row := _admitted(draft, spec.key, condition)) is not None)
    limits = [number for number in (spec.limit, limit) if number is not None]
    return islice(rows, min(limits)) if limits else rows


def _drafts(spec: InputSpec, base: Path, stdin: BinaryIO | None, taken: Taken) -> Iterator[Draft]:
    if spec.files is not None:
        yield from folder_rows(find_documents(spec, base), base) if taken is None else map(file_row, taken)
        return
    if spec.path == "-":
        yield from jsonl_rows(stdin or sys.stdin.buffer, "stdin", spec.max_line_bytes)
        return
    for source, kind in [(source, source.kind()) for source in find_sources(spec, base, taken)]:
        yield from _of_file(source, kind, spec.max_line_bytes)


def _of_file(source: Source, kind: Kind, cap: int) -> Iterator[Draft]:
    with source.open() as file:
        try:
            yield from _READERS[kind](file, source.name, cap)
        except OSError as error:
            raise SpecError(f"{source.name}: cannot be read to its end: {error.strerror or error}") from None


def _admitted(draft: Draft, key_column: str | None, condition: Condition | None) -> InputRow | None:
    if draft.data is None:
        return InputRow(draft.source, draft.source, draft.sha, None, draft.problem)
    if condition is not None:
        try:
            if not condition.holds(draft.data):
                return None
        except RowError as error:
            return _failed(draft, Problem(error.kind, f"{draft.source}: input.where: {error}"))
    return _named(draft, draft.data, key_column)


def _named(draft: Draft, data: dict[str, Any], key_column: str | None) -> InputRow:
    sha = _sha(draft)
    if key_column is None:
        return InputRow(sha[:_KEY_LENGTH], draft.source, sha, data)
    value = data.get(key_column)
    if wrong := _wrong_with_key(value, key_column, data):
        return _failed(draft, Problem("bad_key", f"{draft.source}: {wrong}"))
    return InputRow(str(value), draft.source, sha, data)


def _sha(draft: Draft) -> str:
    return draft.sha or sha256(canonical_json(draft.data)).hexdigest()


def _failed(draft: Draft, problem: Problem) -> InputRow:
    """A row that was read but cannot be used: its data is kept, so that it can be written out and mended."""
    return InputRow(draft.source, draft.source, _sha(draft), draft.data, problem)


def _wrong_with_key(value: Any, column: str, data: dict[str, Any]) -> str | None:
    if column not in data:
        return f"the key column {column!r} is missing; the row has {', '.join(map(repr, list(data)[:12])) or 'nothing'}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        return f"the key column {column!r} must hold text or a whole number, not {type(value).__name__}"
    text = str(value)
    if not text or len(text) > MAX_KEY_LENGTH:
        return f"the key in column {column!r} has {len(text)} characters; 1 to {MAX_KEY_LENGTH} are allowed"
    if _CONTROL.search(text):
        return f"the key in column {column!r} holds a control character"
    return None
