"""Bad lines never cost a good one, nor do those of corpora that others wrote; a reader that is wrong is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrun.inputs import jsonl
from batchrun.inputs.draft import Draft
from tests.reliability.proofs.fuzzed_lines import damaged_parquet, figure, judged, verdict
from tests.spec.corpus import corpus

GOOD = b'{"good": "line \xe2\x80\xa8"}'


def test_no_line_is_lost_and_every_bad_one_has_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert figure([verdict(1_000)]).met, capsys.readouterr().err


def among_good(lines: list[bytes]) -> tuple[list[bytes], set[int]]:
    """The lines, each between good ones, and the numbers of those."""
    mixed = [GOOD, *(each for line in lines for each in (line, GOOD))]
    return mixed, set(range(1, len(mixed) + 1, 2))


def test_files_that_break_parsers_break_no_line_beside_them(tmp_path: Path) -> None:
    files = sorted(corpus("json-test-suite/test_parsing").glob("*.json"))
    found = judged(0, tmp_path, *among_good([file.read_bytes().replace(b"\n", b" ") for file in files]))
    assert found.wrong == ()
    assert found.refused > len(files) / 2


def test_bytes_that_are_no_text_break_no_line_beside_them(tmp_path: Path) -> None:
    found = judged(0, tmp_path, *among_good(corpus("utf8tests/utf8tests.bin").read_bytes().split(b"\n")))
    assert found.wrong == ()


def test_a_reader_that_splits_lines_as_python_does_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = jsonl._draft

    def careless(line: bytes, name: str, number: int) -> Draft:
        return real(line.decode(errors="replace").splitlines()[0].encode(), name, number)

    monkeypatch.setattr(jsonl, "_draft", careless)
    assert not figure([verdict(1_001)]).met


def test_a_reader_that_mends_bad_text_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = jsonl._draft
    monkeypatch.setattr(jsonl, "_draft", lambda line, *rest: real(line.decode(errors="ignore").encode(), *rest))
    assert not figure([verdict(1_001)]).met


def test_a_damaged_parquet_file_is_read_truly_or_refused() -> None:
    said = {damaged_parquet(seed) for seed in range(20_000, 20_100)}
    assert said == {"refused", "read"}
