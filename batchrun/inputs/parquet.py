"""Rows from Parquet, a small batch in memory at a time, as the JSON values templates and hashes work on.

Dates and times become ISO 8601 text, decimals and UUIDs text, NaN null. Binary columns and fields are left out: they
are not text, and a template that asks for one gets the error of a missing column. What a file's footer says of sizes is
not believed: all is unpacked with bounded memory, a batch at once where that fits, else row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID

from batchrun.errors import SpecError
from batchrun.inputs.draft import Draft
from batchrun.inputs.memory import little_memory
from batchrun.rows import Problem
from batchrun.spec.canonical import canonical_json

_ROWS_AT_ONCE = 64


def parquet_rows(file: BinaryIO, name: str, cap: int) -> Iterator[Draft]:
    """A draft of each row. `cap` is the most bytes a row may have as JSON. Raises SpecError for a damaged file."""
    import pyarrow as pa  # late: importing it takes longer than most commands
    import pyarrow.parquet as pq

    number = 0
    try:
        with little_memory():
            table = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        _refuse_twins(table.schema_arrow.names, name)
        for batch in _batches(table):
            yield from _drafts(batch, name, number, cap)
            number += batch.num_rows
    except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise SpecError(f"{name}: not a readable Parquet file ({said}); make it again") from None


def _batches(table: Any) -> Iterator[Any]:
    """The rows, in small batches; one by one from where a batch does not fit."""
    done = 0
    try:
        for batch in _bounded(table.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False)):
            yield batch
            done += batch.num_rows
    except MemoryError:
        rows = _bounded(table.iter_batches(batch_size=1, use_threads=False))
        yield from islice(rows, done, None)


def _bounded(batches: Iterator[Any]) -> Iterator[Any]:
    while True:
        with little_memory():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _drafts(batch: Any, name: str, before: int, cap: int) -> Iterator[Draft]:
    """The drafts of a batch, with `before` rows before it."""
    try:
        with little_memory():
            rows = _python_rows(_in_microseconds(batch))
            drafts = [_draft(values, name, before + n, cap) for n, values in enumerate(rows, 1)]
    except MemoryError:
        return (_alone(batch.slice(n, 1), name, before + n + 1, cap) for n in range(batch.num_rows))
    return iter(drafts)


def _alone(row: Any, name: str, number: int, cap: int) -> Draft:
    try:
        with little_memory():
            return _draft(_python_row(_in_microseconds(row)), name, number, cap)
    except MemoryError:
        return _too_long(name, number, cap)


def _refuse_twins(names: list[str], file: str) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise SpecError(f"{file}: the column {twins[0]!r} occurs more than once; rename one")


def _in_microseconds(batch: Any) -> Any:
    """Python's times have microseconds; a column with finer ones becomes text, so that nothing is cut off."""
    import pyarrow as pa

    columns = [_readable(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _readable(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if getattr(kind, "unit", None) != "ns":
        return column
    if pa.types.is_timestamp(kind):
        coarse = pa.timestamp("us", tz=kind.tz)
    else:
        coarse = pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
    try:
        return column.cast(coarse)
    except pa.ArrowInvalid:
        texts = column.cast(pa.string()).to_pylist()
        return pa.array([None if text is None else text.replace(" ", "T", 1) for text in texts])


def _python_rows(batch: Any) -> list[Any]:
    """Each row as a dict, or as the error that kept it from being one."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError, TypeError):
        return [_python_row(batch.slice(index, 1)) for index in range(batch.num_rows)]


def _python_row(one: Any) -> Any:
    try:
        return one.to_pylist()[0]
    except (ValueError, OverflowError, TypeError) as error:
        return error


def _draft(values: Any, name: str, number: int, cap: int) -> Draft:
    try:
        if isinstance(values, Exception):
            raise values
        data = {column: plain(value) for column, value in values.items() if not isinstance(value, bytes)}
        written = canonical_json(data)
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        return _failed(name, number, "bad_value", f"a value has no JSON form: {str(error)[:200]}")
    if len(written) > cap:
        return _too_long(name, number, cap, written)
    return Draft(name, number, data, None, sha256(written).hexdigest(), "#")


def _too_long(name: str, number: int, cap: int, content: bytes | None = None) -> Draft:
    what = f"the row is longer than {cap:,} bytes as JSON; shorten it or raise input.max_line_bytes"
    return _failed(name, number, "too_long", what, content)


def _failed(name: str, number: int, kind: str, what: str, content: bytes | None = None) -> Draft:
    """Without content, the place stands for the row."""
    digest = sha256(f"{name}#{number}".encode() if content is None else content).hexdigest()
    return Draft(name, number, None, Problem(kind, f"{name}#{number}: {what}"), digest, "#")


def plain(value: Any) -> Any:
    """A value of Arrow as JSON has it. Raises ValueError for infinity, TypeError for types without a JSON form."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if not isinstance(item, bytes)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value if not isinstance(item, bytes)]
    return _text(value)


def _number(value: float) -> float | None:
    if math.isinf(value):
        raise ValueError("infinity")
    return None if math.isnan(value) else value


def _text(value: Any) -> str | float:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(f"the type {type(value).__name__}")
