"""Parquet rows become JSON values; damaged files are refused."""

from __future__ import annotations

import io
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrun.errors import SpecError
from batchrun.inputs.draft import Draft
from batchrun.inputs.parquet import parquet_rows


def packed(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def rows(content: bytes, cap: int = 1024 * 1024) -> list[Draft]:
    return list(parquet_rows(io.BytesIO(content), "rows.parquet", cap))


def value(array: pa.Array) -> Any:
    (row,) = rows(packed(pa.table({"x": array})))
    return row.problem.kind if row.problem else (row.data or {}).get("x", "left out")


def test_rows_have_their_place_and_hash() -> None:
    found = rows(packed(pa.table({"a": list(range(200)), "b": ["x"] * 200})))
    assert [(row.source, row.data) for row in found[63:65]] == [
        ("rows.parquet#64", {"a": 63, "b": "x"}),
        ("rows.parquet#65", {"a": 64, "b": "x"}),
    ]
    assert len({row.sha for row in found}) == len(found) == 200


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([None], pa.string()), None),
        (pa.array(["ü"]), "ü"),
        (pa.array(["ü"]).dictionary_encode(), "ü"),
        (pa.array([True]), True),
        (pa.array([2**63], pa.uint64()), 2**63),
        (pa.array([1.5]), 1.5),
        (pa.array([float("nan")]), None),
        (pa.array([float("inf")]), "bad_value"),
        (pa.array([Decimal("12.30")]), "12.30"),
        (pa.array([date(2026, 1, 2)]), "2026-01-02"),
        (pa.array([time(1, 2, 3)]), "01:02:03"),
        (pa.array([datetime(2026, 1, 2, 3, 4, tzinfo=UTC)]), "2026-01-02T03:04:00+00:00"),
        (pa.array([1_700_000_000_000_000_001], pa.timestamp("ns")), "2023-11-14T22:13:20.000000001"),
        (pa.array([1_700_000_000_000_000_000], pa.timestamp("ns")), "2023-11-14T22:13:20"),
        (pa.array([timedelta(seconds=1.5)]), 1.5),
        (pa.array([[{"a": [1]}]]), [{"a": [1]}]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), [["k", 1]]),
        (pa.array([b"\x00"]), "left out"),
        (pa.array([{"bytes": b"\x00", "path": "a.png"}]), {"path": "a.png"}),
    ],
)
def test_a_value_becomes_its_json_form(array: pa.Array, expected: object) -> None:
    assert value(array) == expected


def test_one_bad_value_spoils_one_row_only() -> None:
    numbers = pa.array([1.0, float("inf"), None, 2.0])
    assert [row.problem is None for row in rows(packed(pa.table({"t": numbers})))] == [True, False, True, True]


def test_a_row_longer_than_the_cap_is_a_failed_row() -> None:
    short, long = rows(packed(pa.table({"x": ["a", "a" * 100]})), cap=50)
    assert short.problem is None
    assert long.problem is not None
    assert (long.problem.kind, long.data) == ("too_long", None)
    assert long.problem.message.startswith("rows.parquet#2: ")


def test_a_column_name_that_occurs_twice_is_refused() -> None:
    twins = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SpecError, match="the column 'a' occurs more than once"):
        rows(packed(twins))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 10, b"not Parquet at all"])
def test_what_is_no_parquet_is_refused(content: bytes) -> None:
    with pytest.raises(SpecError, match=r"rows\.parquet: not a readable Parquet file"):
        rows(content)


def test_a_damaged_file_gives_its_true_rows_or_is_refused() -> None:
    table = pa.table({"a": list(range(500)), "b": [f"text {n}" for n in range(500)]})
    content = packed(table, write_page_checksum=True)
    truth = [row.data for row in rows(content)]
    seeded, refused = random.Random(5), 0
    for _ in range(200):
        damaged = bytearray(content)
        damaged[seeded.randrange(len(content) // 2)] ^= 1 << seeded.randrange(8)
        try:
            assert [row.data for row in rows(bytes(damaged))] == truth
        except SpecError:
            refused += 1
    assert refused > 100


def test_a_cut_off_file_is_refused() -> None:
    content = packed(pa.table({"a": list(range(500))}))
    for size in range(0, len(content) - 1, 97):
        with pytest.raises(SpecError):
            rows(content[:size])
