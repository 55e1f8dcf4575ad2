"""The sample data is what its script makes, its truth is true, and the example jobs can use it."""

from __future__ import annotations

import glob
import json
import operator
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pyarrow.parquet as pq
import pypdfium2
import pytest
from ruamel.yaml import YAML

from batchrun.spec.model import JobSpec

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "sample_data"
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))
SCAN = "inv-028"


def rows(name: str) -> list[dict[str, Any]]:
    lines = (SAMPLES / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]


TRUTHS = rows("invoices.truth.jsonl")


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([sys.executable, "-W", "error", SAMPLES / "make_samples.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def text_layers() -> dict[str, str]:
    return {truth["id"]: one_line("".join(pages(SAMPLES / truth["file"]))) for truth in TRUTHS}


def pages(path: Path) -> Iterator[str]:
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            yield page.get_textpage().get_text_range() + "\n"


def one_line(text: str) -> str:
    """pdfium marks a hyphen at a line's end with U+FFFE."""
    return " ".join(text.replace("\ufffe", "-").split())


def half_up(number: Decimal, currency: str) -> Decimal:
    unit = Decimal(1) if currency in {"IRR", "JPY"} else Decimal("0.01")
    return number.quantize(unit, rounding=ROUND_HALF_UP)


def made_files(folder: Path) -> dict[str, bytes]:
    """Parquet is left out: its bytes name the version of pyarrow, so its rows are compared instead."""
    folders = ("invoices", "contracts", "media", "feed")
    paths = [*folder.glob("*.jsonl"), *(path for name in folders for path in folder.glob(f"{name}/*"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_script_makes_the_committed_files_byte_for_byte(rebuilt: Path) -> None:
    made, committed = made_files(rebuilt), made_files(SAMPLES)
    assert made.keys() == committed.keys()
    assert [name for name in sorted(made) if made[name] != committed[name]] == []


def test_the_script_makes_the_committed_parquet_file(rebuilt: Path) -> None:
    made, committed = (pq.read_table(folder / "invoice_texts.parquet") for folder in (rebuilt, SAMPLES))
    assert made.equals(committed)


def test_parquet_and_jsonl_hold_the_same_texts() -> None:
    assert pq.read_table(SAMPLES / "invoice_texts.parquet").to_pylist() == rows("invoice_texts.jsonl")


def test_the_sample_data_is_small_and_varied() -> None:
    assert sum(map(len, made_files(SAMPLES).values())) < 3_000_000
    assert len(TRUTHS) >= 40
    assert len({truth["language"] for truth in TRUTHS}) >= 10
    assert len({truth["currency"] for truth in TRUTHS}) >= 8


def test_every_file_names_the_same_invoices() -> None:
    ids = [truth["id"] for truth in TRUTHS]
    assert [row["id"] for row in rows("invoice_texts.jsonl")] == ids
    assert rows("invoices.jsonl") == [{"id": truth["id"], "file": truth["file"]} for truth in TRUTHS]
    assert len({(truth["vendor_name"], truth["invoice_number"]) for truth in TRUTHS}) == len(ids)


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth["id"])
def test_the_sums_of_an_invoice_add_up(truth: dict[str, Any]) -> None:
    for item in truth["line_items"]:
        assert item["amount"] == half_up(item["quantity"] * item["unit_price"], truth["currency"])
    assert truth["subtotal"] == sum(item["amount"] for item in truth["line_items"])
    assert truth["total"] == truth["subtotal"] + truth["tax"]
    assert 0 <= truth["tax"] < truth["subtotal"]


def test_no_invoice_is_due_before_its_date() -> None:
    assert all(truth["due_date"] is None or truth["due_date"] > truth["invoice_date"] for truth in TRUTHS)
    assert any(truth["due_date"] is None for truth in TRUTHS)


def test_every_pdf_opens_and_some_have_several_pages() -> None:
    counts = [len(list(pages(SAMPLES / truth["file"]))) for truth in TRUTHS]
    assert min(counts) == 1
    assert sum(count > 1 for count in counts) >= 3


def test_a_text_layer_holds_number_vendor_and_line_items(text_layers: dict[str, str]) -> None:
    for truth in TRUTHS:
        if truth["id"] != SCAN:
            wanted = [truth["invoice_number"], truth["vendor_name"]]
            wanted += [item["description"] for item in truth["line_items"]]
            assert [text for text in wanted if one_line(text) not in text_layers[truth["id"]]] == [], truth["id"]


def test_the_scan_has_a_picture_and_no_text_layer(text_layers: dict[str, str]) -> None:
    assert text_layers[SCAN] == ""
    assert b"/DCTDecode" in (SAMPLES / "invoices" / f"{SCAN}.pdf").read_bytes()


def test_the_persian_invoices_can_be_read_letter_by_letter(text_layers: dict[str, str]) -> None:
    layers = [text_layers[truth["id"]] for truth in TRUTHS if truth["language"] == "fa"]
    assert layers
    for layer in layers:
        assert "فاکتور فروش" in layer
        assert "شماره فاکتور: ۱۴۰۴/" in layer
        assert "مبلغ قابل پرداخت" in layer


def test_the_plain_texts_hold_what_the_truth_says() -> None:
    for truth, row in zip(TRUTHS, rows("invoice_texts.jsonl"), strict=True):
        wanted = [truth["invoice_number"], truth["vendor_name"]]
        wanted += [item["description"] for item in truth["line_items"]]
        assert [text for text in wanted if text not in row["text"]] == [], truth["id"]


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_an_example_job_is_valid_and_finds_its_input(path: Path) -> None:
    spec = JobSpec.model_validate(YAML(typ="safe", pure=True).load(path))
    assert spec.name == path.stem
    found = glob.glob(spec.input.files or spec.input.path or "", root_dir=path.parent)
    assert found
    assert all((path.parent / name).is_file() for name in found)
    requests = [stage.request for stage in (spec.stages or {}).values() if stage.request] or [spec.request]
    assert all((path.parent / request.media_root).is_dir() for request in requests)


def test_a_contract_has_the_pages_that_its_row_and_its_truth_say() -> None:
    truths = {truth["id"]: truth for truth in rows("contracts.truth.jsonl")}
    assert [row["id"] for row in rows("contracts.jsonl")] == list(truths)
    for row in rows("contracts.jsonl"):
        texts, truth = list(pages(SAMPLES / row["file"])), truths[row["id"]]
        assert len(texts) == row["pages"] == len(truth["kinds"])
        for number, (text, kind) in enumerate(zip(texts, truth["kinds"], strict=True), 1):
            assert text.startswith(f"Part {number}: {kind.capitalize()}")
        wanted = [truth[name] for name in ("supplier", "customer", "governing_law")]
        wanted += [price["item"] for price in truth["prices"]]
        assert [value for value in wanted if value not in "".join(texts)] == []


def test_the_sums_in_the_steps_of_a_word_problem_are_right() -> None:
    for problem in rows("word_problems.jsonl"):
        sums = re.findall(r"<<(.+?)=(.+?)>>", problem["answer"])
        assert [(asked, value) for asked, value in sums if worked_out(asked) != Decimal(value)] == []
        assert problem["answer"].rpartition("#### ")[2].replace(",", "") == sums[-1][1]


def worked_out(asked: str) -> Decimal:
    """A sum such as `12*24` or `-7+10`, from left to right."""
    first, *rest = re.findall(r"^-?[0-9.]+|[-+*/]|[0-9.]+", asked)
    signs = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
    value = Decimal(first)
    for sign, number in zip(rest[::2], rest[1::2], strict=True):
        value = signs[sign](value, Decimal(number))
    return value


def test_the_truth_satisfies_the_schema_of_the_jobs() -> None:
    schema = json.loads((ROOT / "jobs" / "invoice.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for line in (SAMPLES / "invoices.truth.jsonl").read_text(encoding="utf-8").splitlines():
        answer = {key: value for key, value in json.loads(line).items() if key not in {"id", "file"}}
        assert answer.keys() == set(schema["required"])
        validator.validate(answer)
