"""Rows come out named, filtered and limited, one at a time, from whatever files the job names."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrun.errors import SpecError
from batchrun.inputs.read import fingerprint, read_rows
from batchrun.rows import InputRow
from batchrun.spec.canonical import sha256_of
from batchrun.spec.model import InputSpec

Write = Callable[..., InputSpec]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows (or bytes) to a file and gives the input section that reads it."""

    def write(rows: list[Any] | bytes, name: str = "rows.jsonl", **fields: Any) -> InputSpec:
        content = rows if isinstance(rows, bytes) else b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
        return InputSpec.model_validate({"path": name, **fields})

    return write


def kind(row: InputRow) -> str:
    return "" if row.problem is None else row.problem.kind


def test_without_a_key_column_content_names_a_row(write: Write, tmp_path: Path) -> None:
    first, second, third = read_rows(write([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}]), tmp_path)
    assert first.key == second.key == sha256_of({"b": 2, "a": 1})[:16]
    assert first.sha == sha256_of({"a": 1, "b": 2})
    assert third.key != first.key
    assert (second.source, second.data) == ("rows.jsonl:2", {"a": 1, "b": 2})


def test_a_key_column_names_a_row(write: Write, tmp_path: Path) -> None:
    rows = list(read_rows(write([{"id": "a b"}, {"id": 7}], key="id"), tmp_path))
    assert [row.key for row in rows] == ["a b", "7"]
    assert rows[0].sha == sha256_of({"id": "a b"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "not NoneType"),
        (True, "not bool"),
        (1.5, "not float"),
        ([], "not list"),
        ("", "0 characters"),
        ("x" * 513, "513 characters"),
        ("a\nb", "control character"),
        ("a\u2028b", "control character"),
    ],
)
def test_a_bad_key_is_a_failed_row_that_keeps_its_data(write: Write, tmp_path: Path, value: Any, message: str) -> None:
    bad, good = read_rows(write([{"id": value}, {"id": "x"}], key="id"), tmp_path)
    assert (kind(bad), bad.key, bad.data) == ("bad_key", "rows.jsonl:1", {"id": value})
    assert bad.problem is not None
    assert bad.problem.message.startswith("rows.jsonl:1: ")
    assert message in bad.problem.message
    assert good.key == "x"


def test_a_missing_key_column_is_a_failed_row(write: Write, tmp_path: Path) -> None:
    (row,) = read_rows(write([{"di": 1}], key="id"), tmp_path)
    assert row.problem is not None
    assert row.problem.message == "rows.jsonl:1: the key column 'id' is missing; the row has 'di'"


def test_a_bad_line_is_named_by_its_place(write: Write, tmp_path: Path) -> None:
    bad, good = read_rows(write(b'{"a": \n{"a": 1}\n', key="a"), tmp_path)
    assert (bad.key, bad.source, kind(bad), bad.data) == ("rows.jsonl:1", "rows.jsonl:1", "bad_json", None)
    assert good.key == "1"


def test_where_leaves_rows_out_and_failed_rows_in(write: Write, tmp_path: Path) -> None:
    spec = write(b'{"n": 1}\n{"n": 2}\n{oops\n{"m": 3}\n{"n": 4}\n', where="n > 1")
    rows = list(read_rows(spec, tmp_path))
    assert [(row.source, kind(row)) for row in rows] == [
        ("rows.jsonl:2", ""),
        ("rows.jsonl:3", "bad_json"),
        ("rows.jsonl:4", "template_error"),
        ("rows.jsonl:5", ""),
    ]
    assert rows[2].problem is not None
    assert "input.where: the row has no column 'n'" in rows[2].problem.message


def test_limits_count_after_where_and_the_smaller_one_holds(write: Write, tmp_path: Path) -> None:
    spec = write([{"n": n} for n in range(10)], where="n > 2", limit=4)
    assert [row.data for row in read_rows(spec, tmp_path)] == [{"n": n} for n in (3, 4, 5, 6)]
    assert len(list(read_rows(spec, tmp_path, limit=2))) == 2
    assert len(list(read_rows(spec, tmp_path, limit=9))) == 4
    assert list(read_rows(spec, tmp_path, limit=0)) == []


def test_rows_come_one_at_a_time(write: Write, tmp_path: Path) -> None:
    spec = write([{"n": n} for n in range(3)])
    rows = read_rows(spec, tmp_path)
    assert next(rows).data == {"n": 0}


def test_rows_can_be_piped_in(tmp_path: Path) -> None:
    (row,) = read_rows(InputSpec(path="-"), tmp_path, io.BytesIO(b'{"a": 1}'))
    assert (row.source, row.data) == ("stdin:1", {"a": 1})
    assert fingerprint(InputSpec(path="-"), tmp_path) is None


def test_a_glob_reads_files_of_all_kinds_in_order(write: Write, tmp_path: Path) -> None:
    write([{"n": 1}], "in/b.jsonl")
    write(gzip.compress(b'{"n": 2}'), "in/c/deep.jsonl.gz")
    write([{"n": 0}], "in/a.ndjson")
    pq.write_table(pa.table({"n": [3]}), tmp_path / "in" / "d.parquet")
    rows = list(read_rows(InputSpec(path="in/**/*.*"), tmp_path))
    assert [(row.source, row.data) for row in rows] == [
        ("in/a.ndjson:1", {"n": 0}),
        ("in/b.jsonl:1", {"n": 1}),
        ("in/c/deep.jsonl.gz:1", {"n": 2}),
        ("in/d.parquet#1", {"n": 3}),
    ]


def test_a_file_name_with_brackets_is_a_file(write: Write, tmp_path: Path) -> None:
    assert len(list(read_rows(write([{}], "rows[1].jsonl"), tmp_path))) == 1


def test_a_file_without_a_known_name_is_known_by_its_content(write: Write, tmp_path: Path) -> None:
    assert len(list(read_rows(write(gzip.compress(b"{}"), "zipped"), tmp_path))) == 1
    pq.write_table(pa.table({"n": [3]}), tmp_path / "table")
    assert len(list(read_rows(InputSpec(path="table"), tmp_path))) == 1
    assert len(list(read_rows(write([{}], "lines.txt"), tmp_path))) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.jsonl", "none.jsonl: cannot be read: No such file or directory"),
        ("none*.jsonl", "no file matches 'none*.jsonl'"),
        ("folder", "folder: not a regular file"),
        ("fifo", "fifo: not a regular file; pipe rows in with the path `-`"),
        ("a\0b", "cannot be read"),
        ("rows.csv", "rows.csv: .csv is not read; convert it to JSONL or Parquet"),
        ("rows.json", "rows.json: one JSON array; write one object on each line"),
        ("rows.gz", "rows.gz: damaged gzip data"),
        ("rows.parquet", "rows.parquet: not a readable Parquet file"),
        ("/dev/zero", "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_a_spec_error(write: Write, tmp_path: Path, path: str, message: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    write(b"a,b\n", "rows.csv")
    write(b' [{"a": 1}]', "rows.json")
    write(b"not gzip", "rows.gz")
    write(b"PAR1 not Parquet PAR1", "rows.parquet")
    with pytest.raises(SpecError) as caught:
        list(read_rows(InputSpec(path=path), tmp_path))
    assert message in str(caught.value)


def test_every_file_is_looked_at_before_the_first_row(write: Write, tmp_path: Path) -> None:
    write([{}], "a.jsonl")
    os.mkfifo(tmp_path / "b.jsonl")
    with pytest.raises(SpecError):
        next(read_rows(InputSpec(path="*.jsonl"), tmp_path))


def test_the_fingerprint_follows_the_section_the_files_and_their_content(write: Write, tmp_path: Path) -> None:
    spec = write([{"a": 1}], "a.jsonl").model_copy(update={"path": "*.jsonl"})
    seen = {fingerprint(spec, tmp_path)}
    assert fingerprint(spec, tmp_path) in seen
    seen.add(fingerprint(spec.model_copy(update={"key": "a"}), tmp_path))
    write([{"a": 2}], "a.jsonl")
    seen.add(fingerprint(spec, tmp_path))
    write([{"a": 3}], "b.jsonl")
    seen.add(fingerprint(spec, tmp_path))
    (tmp_path / "b.jsonl").rename(tmp_path / "c.jsonl")
    seen.add(fingerprint(spec, tmp_path))
    assert len(seen) == 5
    with pytest.raises(SpecError):
        fingerprint(InputSpec(path="none.jsonl"), tmp_path)


def test_reading_many_rows_keeps_none_of_them(write: Write, tmp_path: Path) -> None:
    spec = write(b'{"a": "%s"}\n' % (b"x" * 100_000) * 200)
    rows = read_rows(spec, tmp_path)
    assert sum(len(row.data["a"]) for row in islice(rows, 200) if row.data) == 20_000_000
