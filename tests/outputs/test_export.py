from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchrun.errors import StoreError
from batchrun.outputs.export import check_written, export
from batchrun.outputs.results import Result
from batchrun.outputs.table import GROUP_BYTES
from batchrun.store.records import RowRecord

from .factories import Memory, a_context, a_row, an_attempt, an_object, exported, raw_answer

INVOICE = an_object(
    total="number",
    paid="boolean",
    items={"type": "array", "items": an_object(name="string", quantity="integer")},
    extra="object",
)


def test_an_answer_becomes_typed_columns(tmp_path: Path) -> None:
    answer = {"total": 9, "paid": True, "items": [{"name": "چای", "quantity": 2}], "extra": {"a": [1]}}
    (record,) = exported(tmp_path, [a_row(answer)], schema=INVOICE)
    assert {name: record[name] for name in INVOICE["properties"]} == {**answer, "total": 9.0, "extra": '{"a":[1]}'}
    schema = pq.read_schema(tmp_path / "results.parquet")
    assert schema.field("total").type == pa.float64()
    assert schema.field("items").type.value_type == pa.struct([("name", pa.string()), ("quantity", pa.int64())])


def test_the_columns_about_the_row_are_filled(tmp_path: Path) -> None:
    (record,) = exported(tmp_path, [a_row({"total": 1})], schema=an_object(total="integer"))
    assert record == {
        "key": "a",
        "status": "succeeded",
        "total": 1,
        "text": '{"total": 1}',
        "media": None,
        "interaction_id": "v1_abc",
        "model": "gemini-3.5-flash",
        "error_class": None,
        "error_message": None,
        "attempts": 1,
        "exchanges": 1,
        "submitted_at": datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC),
        "finished_at": datetime(2023, 11, 14, 22, 13, 24, tzinfo=UTC),
        "prompt_sha": "f00d",
        "schema_sha": "5c4e",
        "input_sha": "beef",
        "source": "rows.jsonl:1",
    }


def test_rows_keep_the_order_of_the_source(tmp_path: Path) -> None:
    rows = [a_row(key=f"k{n}") for n in (3, 1, 2)]
    assert [record["key"] for record in exported(tmp_path, rows)] == ["k3", "k1", "k2"]


def test_a_row_that_was_never_tried_is_pending_and_otherwise_null(tmp_path: Path) -> None:
    (record,) = exported(tmp_path, [a_row(outcome=None, attempt=None, attempts=0, finished_at=None)])
    filled = {name: value for name, value in record.items() if value is not None}
    assert filled == {
        "key": "a",
        "status": "pending",
        "attempts": 0,
        "exchanges": 0,
        "schema_sha": "5c4e",
        "input_sha": "beef",
        "source": "rows.jsonl:1",
    }


def test_an_invalid_answer_keeps_its_text_and_its_reason_but_fills_no_column(tmp_path: Path) -> None:
    row = a_row({"total": 1}, outcome="invalid_output", error_class="schema", error_message="total: too small")
    (record,) = exported(tmp_path, [row], schema=an_object(total="integer"))
    assert (record["total"], record["text"]) == (None, '{"total": 1}')
    assert (record["error_class"], record["error_message"]) == ("schema", "total: too small")


@pytest.mark.parametrize("text", ['{"n": 1.5}', f'{{"n": {2**64}}}', '{"n": true}', "no JSON", "[]"])
def test_an_answer_that_should_not_have_succeeded_is_an_error_and_never_a_wrong_value(
    tmp_path: Path, text: str
) -> None:
    row = a_row(attempt=an_attempt(raw=raw_answer(text)))
    (record,) = exported(tmp_path, [row], schema=an_object(n="integer"))
    assert (record["n"], record["error_class"], record["text"]) == (None, "output_misfit", text)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[1]", b"{}", b"[" * 100_000, b'{"steps": [7]}', b'"\\ud800"'])
def test_a_raw_answer_that_is_no_interaction_has_no_text(tmp_path: Path, raw: bytes) -> None:
    (record,) = exported(tmp_path, [a_row(outcome="failed", attempt=an_attempt(raw=raw))])
    assert record["text"] is None


def test_lone_surrogates_are_escaped_and_nul_is_kept_in_every_text_column(tmp_path: Path) -> None:
    odd = "\ud800\0"
    row = a_row({"t": odd}, key=odd, source=odd, error_message=odd, data={"q": odd})
    (record,) = exported(tmp_path, [row], schema=an_object(t="string"), columns=("q",))
    assert {record[name] for name in ("key", "source", "error_message", "q", "t")} == {"\\ud800\0"}


def test_an_answer_that_is_no_object_is_the_column_output(tmp_path: Path) -> None:
    (record,) = exported(tmp_path, [a_row(["a", "b"])], schema={"type": "array", "items": {"type": "string"}})
    assert record["output"] == ["a", "b"]


def test_input_columns_are_typed_and_renamed_where_they_clash(tmp_path: Path) -> None:
    rows = [
        a_row({"total": 5}, data={"n": 1, "x": 1, "ok": True, "mixed": "a", "text": "t", "total": {"a": 1}}),
        a_row({"total": 6}, data={"n": None, "x": 1.5, "ok": False, "mixed": 2}),
        a_row({"total": 7}, data=None),
    ]
    columns = ("n", "x", "ok", "mixed", "text", "total", "absent")
    found = exported(tmp_path, rows, columns=columns, schema=an_object(total="integer"))
    names = ("n", "x", "ok", "mixed", "input_text", "total", "absent", "output_total")
    assert [tuple(record[name] for name in names) for record in found] == [
        (1, 1.0, True, '"a"', "t", '{"a":1}', None, 5),
        (None, 1.5, False, "2", None, None, None, 6),
        (None, None, None, None, None, None, None, 7),
    ]


def test_an_input_integer_beyond_64_bits_makes_its_column_json_text(tmp_path: Path) -> None:
    rows = [a_row(data={"n": 1}), a_row(data={"n": 2**70})]
    assert [r["n"] for r in exported(tmp_path, rows, columns=("n",))] == ["1", str(2**70)]


def test_the_file_says_which_job_run_and_library_made_it(tmp_path: Path) -> None:
    export(Memory([]), tmp_path, a_context(schema=an_object(a="object"), emulated=True))
    metadata = pq.read_schema(tmp_path / "results.parquet").metadata
    assert metadata[b"batchrun.job"] == b"demo"
    assert metadata[b"batchrun.emulated"] == b"true"
    assert metadata[b"batchrun.json_columns"] == b"a"
    assert metadata[b"batchrun.pyarrow"].decode() == pa.__version__


def test_no_rows_make_whole_files_without_rows(tmp_path: Path) -> None:
    paths = export(Memory([]), tmp_path / "new" / "directory", a_context(jsonl=True))
    assert sorted(paths) == ["failed", "results", "results_jsonl", "usage"]
    assert pq.read_table(paths["results"]).num_rows == pq.read_table(paths["usage"]).num_rows == 0


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    rows = [a_row({"total": n}, key=str(n)) for n in range(5000)]
    for name in ("one", "two"):
        export(Memory(rows, [an_attempt()]), tmp_path / name, a_context(schema=INVOICE, jsonl=True))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_large_rows_are_written_in_several_bounded_groups(tmp_path: Path) -> None:
    rows = (a_row(attempt=an_attempt(raw=raw_answer(f"{n}" * 300_000))) for n in range(200))
    export(Memory(list(rows)), tmp_path, a_context())
    file = pq.ParquetFile(tmp_path / "results.parquet")
    sizes = [file.read_row_group(n).nbytes for n in range(file.num_row_groups)]
    assert len(sizes) > 3
    assert max(sizes) < 2 * GROUP_BYTES


def test_a_flipped_bit_in_any_page_is_noticed(tmp_path: Path) -> None:
    """Pages only: the format has no checksum for the footer that follows them."""
    rows = [a_row({"total": n}, key=f"key {n}") for n in range(500)]
    path = export(Memory(rows), tmp_path, a_context(schema=an_object(total="integer")))["results"]
    whole, content = pq.read_table(path), path.read_bytes()
    footer = len(content) - pq.read_metadata(path).serialized_size - 8
    for place in range(4, footer, 13):
        flipped = content[place] ^ 1 << place % 8
        path.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        assert _is_noticed(path, whole), f"byte {place} of {len(content)}"


def _is_noticed(path: Path, whole: pa.Table) -> bool:
    """True if the file is refused, or reads the same (a bit of a page header's statistics that no value depends on)."""
    try:
        return bool(pq.read_table(path, page_checksum_verification=True).equals(whole))
    except (OSError, pa.ArrowException):
        return True


class Breaking(Memory):
    """A source that fails after its last row."""

    def rows(self) -> Iterator[RowRecord]:
        yield from super().rows()
        raise RuntimeError("killed")


def test_an_export_that_dies_midway_leaves_the_previous_files(tmp_path: Path) -> None:
    context = a_context(jsonl=True)
    export(Memory([a_row(key="old", outcome="failed")]), tmp_path, context)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError, match="killed"):
        export(Breaking([a_row(key=str(n)) for n in range(10_000)]), tmp_path, context)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_is_a_store_error_and_leaves_the_previous_files(tmp_path: Path) -> None:
    export(Memory([a_row(key="old")]), tmp_path, a_context())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    rows = [a_row(outcome="failed", data={"q": sha256(b"%d" % n).hexdigest()}, key=str(n)) for n in range(5000)]
    with file_size_limit(100_000), pytest.raises(StoreError, match="batchrun export"):
        export(Memory(rows), tmp_path, a_context(columns=("q",)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_outputs_that_cannot_be_read_back_are_a_store_error(tmp_path: Path) -> None:
    outputs = export(Memory([a_row()]), tmp_path, a_context())
    check_written(outputs, rows=1, attempts=0)
    for broken in (b"", outputs["results"].read_bytes()[:-9]):
        outputs["results"].write_bytes(broken)
        with pytest.raises(StoreError, match="cannot read back"):
            check_written(outputs, rows=1, attempts=0)
    outputs["results"].unlink()
    with pytest.raises(StoreError, match="cannot read back"):
        check_written(outputs, rows=1, attempts=0)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_the_engine_needs_does_not_load_pyarrow() -> None:
    modules = ", ".join(
        f"batchrun.outputs.{name}" for name in ("answers", "counts", "files", "fitting", "shapes", "summary")
    )
    code = f"import sys, {modules}; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_large_input_rows_count_towards_the_size_of_a_batch() -> None:
    assert Result(a_row(data={"request": {"input": ["x" * 5_000_000]}}), None, None, {}, None, None).size > 5_000_000


def lines_of(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_results_jsonl_holds_the_exact_answer_and_the_input(tmp_path: Path) -> None:
    answer = {"total": 2**70, "note": "\ud800 \u2028 é"}
    schema = an_object(total={}, note="string")
    export(Memory([a_row(answer)]), tmp_path, a_context(jsonl=True, schema=schema, columns=("question",)))
    (record,) = lines_of(tmp_path / "results.jsonl")
    assert isinstance(record, dict)
    assert record["output"] == answer
    assert record["input"] == {"question": "why?"}
    assert record["submitted_at"] == "2023-11-14T22:13:20.250000+00:00"


def test_failed_jsonl_holds_the_input_of_rows_that_ended_badly_and_can_be_read(tmp_path: Path) -> None:
    data = {"q": "line\nend \u2028 \x85 \ud800 é", "n": 2**70}
    rows = [
        a_row(data={"q": "fine"}),
        a_row(data={"q": "not yet"}, outcome=None),
        a_row(data=None, outcome="failed"),
        *(a_row(data={**data, "o": o}, outcome=o) for o in ("failed", "invalid_output", "ambiguous")),
    ]
    path = export(Memory(rows), tmp_path, a_context())["failed"]
    assert lines_of(path) == [{**data, "o": o} for o in ("failed", "invalid_output")]  # held rows might be paid twice
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 2
    assert "é" in text


def test_not_a_number_in_an_input_row_becomes_null_in_json_lines(tmp_path: Path) -> None:
    rows = [a_row(data={"x": [float("nan"), {"y": float("inf")}, 1.5]}, outcome="failed")]
    assert lines_of(export(Memory(rows), tmp_path, a_context())["failed"]) == [{"x": [None, {"y": None}, 1.5]}]
