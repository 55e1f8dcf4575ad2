"""Every line of a JSONL file becomes a row or a failed row, whatever its bytes."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.errors import SpecError
from batchrun.inputs.draft import Draft
from batchrun.inputs.jsonl import gzip_rows, jsonl_rows
from tests.spec.corpus import corpus


def rows(content: bytes, cap: int = 1024 * 1024) -> list[Draft]:
    return list(jsonl_rows(io.BytesIO(content), "rows.jsonl", cap))


def data(content: bytes) -> list[object]:
    return [row.data for row in rows(content)]


def kinds(content: bytes, cap: int = 1024 * 1024) -> list[str]:
    return ["" if row.problem is None else row.problem.kind for row in rows(content, cap)]


def test_each_line_is_a_row_with_its_place() -> None:
    assert [(row.source, row.data) for row in rows(b'{"a": 1}\n{"a": 2}\n')] == [
        ("rows.jsonl:1", {"a": 1}),
        ("rows.jsonl:2", {"a": 2}),
    ]


def test_marks_carriage_returns_empty_lines_and_a_missing_end_are_fine() -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n\n{"a": 2}\r\n{"a": 3}'
    assert data(content) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [row.number for row in rows(content)] == [1, 5, 6]


def test_lines_end_at_line_feeds_only() -> None:
    text = "a\u2028b\u2029c\x85d"
    assert data(json.dumps({"a": text}, ensure_ascii=False).encode() + b"\n") == [{"a": text}]
    assert kinds(b'{"a":\x0b1}\n{"a":\x0c1}\n') == ["bad_json", "bad_json"]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (b'{"a": 1,}', "bad_json", "rows.jsonl:1: not JSON: "),
        (b'{"a": \xff}', "bad_utf8", "rows.jsonl:1: byte 7 of the line is not UTF-8"),
        (b'{"a": 1, "a": 2}', "duplicate_keys", "the key 'a' occurs more than once"),
        (b"[1]", "not_an_object", "a row is a JSON object, and this is an array"),
        (b"true", "not_an_object", "this is a boolean"),
        (b"null", "not_an_object", "this is null"),
        (b'{"a": NaN}', "bad_number", "NaN is not JSON"),
        (b'{"a": %s}' % (b"1" * 5000), "bad_number", "too many digits"),
        (b'{"a": "\\ud800"}', "lone_surrogate", "surrogate"),
        (b"[" * 100_000, "too_deep", "nested more than 100 levels"),
        (b"\x00", "bad_json", "not JSON"),
        (b'{"a": 1}\xef\xbb\xbf', "bad_json", "not JSON"),
    ],
)
def test_a_bad_line_is_a_failed_row_and_the_next_is_read(line: bytes, kind: str, message: str) -> None:
    bad, good = rows(line + b'\n{"a": 1}\n')
    assert bad.data is None
    assert bad.problem is not None
    assert (bad.problem.kind, len(bad.sha)) == (kind, 64)
    assert bad.problem.message.startswith("rows.jsonl:1: ")
    assert message in bad.problem.message
    assert good.data == {"a": 1}


def test_a_problem_gives_the_column() -> None:
    problem = rows(b'{"a": 1,}')[0].problem
    assert problem is not None
    assert problem.message.endswith("(column 9)")


def test_a_line_longer_than_the_cap_is_a_failed_row() -> None:
    exact = b'{"a": "%s"}' % (b"x" * 90)
    assert kinds(exact + b"\n", len(exact)) == [""]
    assert kinds(exact + b"\r\n", len(exact)) == [""]
    assert kinds(exact, len(exact)) == [""]
    assert kinds(exact + b"\n{}\n", len(exact) - 1) == ["too_long", ""]
    assert kinds(exact * 5000 + b"\n{}", 50) == ["too_long", ""]
    assert [row.number for row in rows(exact * 5000 + b"\n{}", 50)] == [1, 2]


def test_different_long_lines_have_different_hashes() -> None:
    assert rows(b"x" * 200_000 + b"a", 50)[0].sha != rows(b"x" * 200_000 + b"b", 50)[0].sha


class Endless(io.RawIOBase):
    """A file of one line of 1 GB, made as it is read."""

    left = 1_000_000_000

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = min(len(view), self.left)
        view[:count] = b"x" * count
        self.left -= count
        return count


def test_a_line_of_a_gigabyte_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        (row,) = jsonl_rows(io.BufferedReader(Endless(), 1024 * 1024), "rows.jsonl", 1024 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert row.problem is not None
    assert row.problem.kind == "too_long"
    assert peak < 16 * 1024 * 1024


@given(st.binary())
def test_any_bytes_are_rows_or_failed_rows(content: bytes) -> None:
    for row in rows(content):
        assert (row.data is None) == (row.problem is not None)


@given(st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers())), st.data())
def test_a_mutated_byte_spoils_its_own_lines_only(values: list[dict[str, int]], draw: st.DataObject) -> None:
    lines = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    content = bytearray(b"\n".join([*lines, b'{"last": 1}']))
    position = draw.draw(st.integers(0, max(0, len(content) - 14)))
    content[position] = draw.draw(st.integers(0, 255))
    assert rows(bytes(content))[-1].data in ({"last": 1}, None)
    if len(values) > 1 and position < len(lines[0]) - 1:
        assert rows(bytes(content))[-1].data == {"last": 1}


def unzip(content: bytes) -> list[Draft]:
    return list(gzip_rows(io.BytesIO(content), "rows.jsonl.gz", 1024))


def test_gzip_is_read_through() -> None:
    packed = gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n')
    assert [row.data for row in unzip(packed)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("cut", [5, 12, -4, -9])
def test_cut_off_gzip_is_a_spec_error(cut: int) -> None:
    packed = gzip.compress(b'{"a": 1}\n' * 100)
    with pytest.raises(SpecError, match=r"rows\.jsonl\.gz: damaged gzip data"):
        unzip(packed[:cut])


@given(st.integers(0, 60), st.integers(1, 255))
def test_damaged_gzip_is_rows_or_a_spec_error(position: int, flip: int) -> None:
    packed = bytearray(gzip.compress(b'{"a": "%s"}\n' % bytes(range(48, 91)), mtime=0))
    packed[position % len(packed)] ^= flip
    try:
        unzip(bytes(packed))
    except SpecError:
        return


def test_a_gzip_bomb_of_one_line_costs_no_memory() -> None:
    (row,) = unzip(gzip.compress(b"x" * 50_000_000))
    assert row.problem is not None
    assert row.problem.kind == "too_long"


def _as_value(path: Path) -> list[str]:
    """Verdicts on an object that has the file's text as its value; only a valid text may be put on one line."""
    content = path.read_bytes()
    if path.name.startswith("y_"):
        content = content.replace(b"\r", b" ").replace(b"\n", b" ")
    return kinds(b'{"v": %s}\n' % content, 4 * 1024 * 1024)


def test_the_json_test_suite_is_judged_as_it_says() -> None:
    files = sorted(corpus("json-test-suite/test_parsing").glob("*.json"))
    assert len(files) == 318
    for path in files:
        verdicts = set(_as_value(path))
        assert verdicts
        if path.name.startswith("y_"):
            assert verdicts <= {"", "duplicate_keys"}, path.name
        if path.name.startswith("n_"):
            assert "" not in verdicts, path.name
        rows(path.read_bytes(), 4 * 1024 * 1024)


def test_the_utf8_tests_have_145_bad_lines() -> None:
    lines = corpus("utf8tests/utf8tests.bin").read_bytes().split(b"\n")
    assert len(lines) == 223
    quoted = [b'{"t": "%s"}' % line.replace(b"\\", b"").replace(b'"', b"") for line in lines]
    printable = [bytes(byte for byte in line if byte >= 32) for line in quoted]
    found = kinds(b"\n".join(printable))
    assert (len(found), found.count("bad_utf8"), found.count("")) == (223, 145, 78)
