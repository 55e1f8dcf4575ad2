"""Streams records into one Parquet file: columns declared with their types, bounded batches, page checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from batchrun.errors import StoreError
from batchrun.outputs.shapes import Kind, ListOf, Shape

T = TypeVar("T")

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
COUNT = pa.int64()
YES_NO = pa.bool_()

#: Records turned into Arrow at a time, and the bytes of source data after which a smaller batch is turned.
BATCH_ROWS = 2_000
BATCH_BYTES = 8 * 1024 * 1024
#: Arrow bytes and rows after which a row group is written.
GROUP_BYTES = 16 * 1024 * 1024
GROUP_ROWS = 100_000

_SCALARS = {
    Kind.STRING: TEXT,
    Kind.JSON: TEXT,
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: YES_NO,
}


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column: its name, its Arrow type, and its value of one record."""

    name: str
    type: pa.DataType
    value: Callable[[T], Any]


def arrow_type(shape: Shape) -> pa.DataType:
    """The Arrow type that holds what `fitting.fit` returns for this shape."""
    if isinstance(shape, Kind):
        return _SCALARS[shape]
    if isinstance(shape, ListOf):
        return pa.list_(arrow_type(shape.item))
    return pa.struct([pa.field(field.column, arrow_type(field.shape)) for field in shape.fields])


def microseconds(seconds: float | None) -> int | None:
    """Unix seconds as a TIME column stores them."""
    return None if seconds is None else round(seconds * 1_000_000)


class Table(Generic[T]):
    """An open Parquet file. Memory is bounded by the constants above, not by the number of records.

    The same records make the same bytes. Leaving the block after an exception leaves a torn file behind: write drafts.
    """

    def __init__(self, path: Path, columns: Iterable[Column[T]], metadata: dict[str, str]) -> None:
        self._path = path
        self._columns = list(columns)
        self._schema = pa.schema([pa.field(c.name, c.type) for c in self._columns], metadata)
        self._records: list[T] = []
        self._bytes = 0
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0

    def __enter__(self) -> Table[T]:
        self._writer = pq.ParquetWriter(
            self._path, self._schema, compression="zstd", write_page_checksum=True, store_schema=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._turn_batch()
            self._write_group()
        self._writer.close()
        if kind is None:
            self._verify()

    def add(self, record: T, size: int) -> None:
        """Appends a record that holds about `size` bytes of data."""
        self._records.append(record)
        self._rows += 1
        self._bytes += size
        if len(self._records) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self._turn_batch()

    def _turn_batch(self) -> None:
        arrays = [pa.array([c.value(r) for r in self._records], c.type) for c in self._columns]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._records, self._bytes = [], 0
        if sum(b.nbytes for b in self._batches) >= GROUP_BYTES or sum(map(len, self._batches)) >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._batches, self._schema)
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))
        self._batches = []

    def _verify(self) -> None:
        found = pq.read_metadata(self._path).num_rows
        if found != self._rows:
            raise StoreError(f"{str(self._path)!r} holds {found} rows instead of {self._rows}; export again")
