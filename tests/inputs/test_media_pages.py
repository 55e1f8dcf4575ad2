"""Pages of a PDF: counted in a child that a hostile file may kill, and spread over blocks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from batchrun.engine.file_bodies import built
from batchrun.engine.request import Draft, Request
from batchrun.errors import RowError
from batchrun.inputs import media_pages
from batchrun.inputs.media import Library, opened
from batchrun.inputs.media_files import LocalFile, look
from batchrun.inputs.media_pages import PageCounter, page_ranges
from batchrun.inputs.media_paths import Place
from batchrun.spec.blocks import MediaRef
from tests.emulator.media_files import pdf


@pytest.fixture
def counter() -> Iterator[PageCounter]:
    with closing(PageCounter()) as made:
        yield made


def file(where: Path, content: bytes, name: str = "a.pdf") -> LocalFile:
    (where / name).write_bytes(content)
    return look(Place(name, str(where / name)))[0]


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_pages_are_counted_by_one_child_for_all_files(tmp_path: Path, counter: PageCounter) -> None:
    before = children()
    counts = [counter.count(file(tmp_path, pdf(*"abc"[:n]), f"{n}.pdf")) for n in (1, 2, 3)]
    assert counts == [1, 2, 3]
    assert len(children() - before) == 1


@pytest.mark.parametrize(
    "content",
    [b"%PDF-1.7\n" + b"\0" * 50, b"%PDF-", pdf("a")[:300], pdf("a", password="secret")],
    ids=["zeros", "nothing", "cut off", "encrypted"],
)
def test_a_pdf_that_cannot_be_read_has_no_count_and_hurts_nobody(
    tmp_path: Path, counter: PageCounter, content: bytes
) -> None:
    assert counter.count(file(tmp_path, content, "bad.pdf")) is None
    assert counter.count(file(tmp_path, pdf("a"), "good.pdf")) == 1


def test_a_child_that_dies_of_a_file_is_replaced(tmp_path: Path, counter: PageCounter) -> None:
    before = children()
    assert counter.count(file(tmp_path, pdf("a"), "1.pdf")) == 1
    (child,) = children() - before
    os.kill(child, signal.SIGKILL)
    assert counter.count(file(tmp_path, pdf("a", "b"), "2.pdf")) is None
    assert counter.count(file(tmp_path, pdf("a", "b"), "3.pdf")) == 2


def test_a_child_that_takes_too_long_is_given_up(
    tmp_path: Path, counter: PageCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_pages, "_SECONDS", 0.2)
    before = children()
    counter.count(file(tmp_path, pdf("a"), "1.pdf"))
    (child,) = children() - before
    os.kill(child, signal.SIGSTOP)
    assert counter.count(file(tmp_path, pdf("a"), "2.pdf")) is None
    assert child not in children()


def test_the_child_gets_no_environment(tmp_path: Path, counter: PageCounter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-secret-key")
    before = children()
    counter.count(file(tmp_path, pdf("a")))
    (child,) = children() - before
    assert "a-secret-key" not in psutil.Process(child).environ().values()


@pytest.mark.parametrize(
    ("asked", "pages", "ranges"),
    [
        ("", 1000, []),
        ("", None, []),
        ("", 1001, [(1, 1000), (1001, 1001)]),
        ("", 2500, [(1, 1000), (1001, 2000), (2001, 2500)]),
        ("1-20", 30, [(1, 20)]),
        ("3,7-9", None, [(3, 3), (7, 9)]),
        ("1-1200", 1500, [(1, 1000), (1001, 1200)]),
    ],
)
def test_ranges_are_cut_where_a_block_is_full(asked: str, pages: int | None, ranges: list[Any]) -> None:
    assert page_ranges(asked, pages, "a.pdf") == ranges


def request(where: Path, *refs: MediaRef) -> Request:
    body = {"model": "m", "input": [*refs]}
    with closing(Library(where, where)) as library:
        return built(Draft(body, {}), opened(body, library, {}), {})


def test_pages_go_into_blocks_of_their_own_and_the_map_says_which(tmp_path: Path) -> None:
    content = pdf(*"abcde")
    found = file(tmp_path, content)
    made = request(tmp_path, MediaRef("document", "a.pdf", pages="1-2,5", passed_on={"resolution": "low"}))
    blocks = json.loads(bytes(made.core))["input"]
    options = [block["processing"]["page_options"] for block in blocks]
    assert options == [{"start_page": 1, "end_page": 2}, {"start_page": 5, "end_page": 5}]
    assert {block["resolution"] for block in blocks} == {"low"}
    assert blocks[0]["data"] == blocks[1]["data"]
    places = [(each["block"], each["file"], each["pages"], each["of"], each["bytes"]) for each in made.media]
    assert places == [(0, "a.pdf", [1, 2], 5, found.size), (1, "a.pdf", [5, 5], 5, found.size)]
    assert json.loads(json.dumps(made.media)) == list(made.media)
    assert 3 * 258 <= made.tokens < 3 * 258 + 200


def failure(where: Path, *refs: MediaRef) -> RowError:
    with pytest.raises(RowError) as caught:
        request(where, *refs)
    return caught.value


def test_pages_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    file(tmp_path, pdf("a"))
    (tmp_path / "a.txt").write_text("text")
    beyond = failure(tmp_path, MediaRef("document", "a.pdf", pages="1-2"))
    assert beyond.kind == "bad_pages"
    assert "ends at page 1" in str(beyond)
    assert failure(tmp_path, MediaRef("document", "a.txt", pages="1")).kind == "bad_pages"
    assert failure(tmp_path, MediaRef("document", "a.pdf", pages="x")).kind == "bad_pages"
