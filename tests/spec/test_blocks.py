"""Parts of a prompt become content blocks: repeated for lists, passed on by address, split by pages."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from batchrun.errors import RowError
from batchrun.spec.blocks import MediaRef, PartTemplate
from batchrun.spec.parts import Part

PART: TypeAdapter[Any] = TypeAdapter(Part)


def blocks(row: dict[str, Any], fetch: tuple[str, ...] = (), **part: Any) -> list[Any]:
    return list(PartTemplate(PART.validate_python(part), frozenset(fetch)).render(row))


def test_a_file_stays_a_reference_with_what_is_passed_on() -> None:
    found = blocks({"f": "a.wav"}, type="audio", path="in/{{ f }}", sample_rate=16000, mime_type="audio/l16")
    assert found == [MediaRef("audio", "in/a.wav", "audio/l16", passed_on={"sample_rate": 16000})]


def test_an_address_is_passed_on_as_it_is() -> None:
    assert blocks({"u": "gs://b/v.mp4"}, type="video", uri="{{ u }}", processing={"type": "static", "fps": 2}) == [
        {"type": "video", "uri": "gs://b/v.mp4", "processing": {"type": "static", "fps": 2}}
    ]


@pytest.mark.parametrize(
    "uri", ["", "http://a.example/x", "file:///etc/passwd", "gs:", "https://", "//x", "https://[", "a b"]
)
def test_what_is_no_address_is_the_row_s_error(uri: str) -> None:
    with pytest.raises(RowError) as caught:
        blocks({"u": uri}, type="image", uri="{{ u }}")
    assert caught.value.kind == "bad_uri"


def test_only_a_host_that_the_job_names_is_fetched_by_batchrun() -> None:
    assert blocks({}, ("a.example",), type="image", uri="https://A.example/x.png") == [
        MediaRef("image", "https://A.example/x.png", fetched=True)
    ]
    for other in ("https://a.example.evil/x.png", "https://a.example@evil/x.png", "gs://a.example/x.png"):
        assert blocks({}, ("a.example",), type="image", uri=other)[0]["uri"] == other


def test_a_part_is_repeated_for_each_item_of_a_list() -> None:
    row = {"photos": ["a.png", "b.png"], "name": "N"}
    assert blocks(row, type="text", text="{{ name }}: {{ item }}", each="photos") == [
        {"type": "text", "text": "N: a.png"},
        {"type": "text", "text": "N: b.png"},
    ]
    assert PartTemplate(
        PART.validate_python({"type": "text", "text": "{{ item }}{{ x }}", "each": "y"}), frozenset()
    ).columns == {"x", "y"}


@pytest.mark.parametrize("row", [{}, {"photos": "a.png"}, {"photos": None}])
def test_a_list_that_is_none_is_the_row_s_error(row: dict[str, Any]) -> None:
    with pytest.raises(RowError, match="needs a list"):
        blocks(row, type="image", path="{{ item }}", each="photos")


def test_pages_of_an_address_become_page_options() -> None:
    found = blocks({"p": "1-20, 7"}, type="document", uri="https://a.example/x.pdf", pages="{{ p }}")
    assert [block["processing"]["page_options"] for block in found] == [
        {"start_page": 1, "end_page": 20},
        {"start_page": 7, "end_page": 7},
    ]
    assert blocks({"p": ""}, type="document", uri="https://a.example/x.pdf", pages="{{ p }}") == [
        {"type": "document", "uri": "https://a.example/x.pdf"}
    ]


@pytest.mark.parametrize("pages", ["0", "3-2", "a", "1-", "-1", "1,,2", "1-2-3"])
def test_what_names_no_pages_is_the_row_s_error(pages: str) -> None:
    with pytest.raises(RowError) as caught:
        blocks({}, type="document", uri="https://a.example/x.pdf", pages=pages)
    assert caught.value.kind == "bad_pages"
