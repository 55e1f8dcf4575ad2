"""Citations: where an answer says that its sentences come from, in characters instead of bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.outputs.citations import character_offsets

from .conversations import Conversations, interaction, output, said, text

PERSIAN = "سلام دنیا. چای خوب است."


def url(start: object, end: object, **fields: Any) -> dict[str, Any]:
    return {"type": "url_citation", "url": "https://example.com", "start_index": start, "end_index": end, **fields}


def places(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["text"], record["start"], record["end"]


def test_bytes_of_persian_become_characters(run: Conversations, tmp_path: Path) -> None:
    cited = "چای خوب است."
    start = len(PERSIAN.removesuffix(cited).encode())
    run.hold(interaction(output(text(PERSIAN, url(start, len(PERSIAN.encode()), title="چای")))))
    (record,) = run.citations(tmp_path)
    assert places(record) == (cited, 11, 23)
    assert PERSIAN[record["start"] : record["end"]] == cited
    assert (record["url"], record["title"], record["kind"]) == ("https://example.com", "چای", "url_citation")
    assert (record["key"], record["exchange"], record["step"], record["block"]) == ("a", 0, 0, 0)


@given(st.text(), st.data())
def test_the_characters_before_any_place_are_counted_right(words: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(words)))
    offset = len(words[:place].encode("utf-8", "surrogatepass"))
    assert character_offsets(words, [offset]) == {offset: place}


@given(st.text(), st.lists(st.integers(-3, 60)))
def test_an_offset_outside_or_inside_a_character_is_none_at_all(words: str, offsets: list[int]) -> None:
    encoded = words.encode()
    begins = {len(words[:n].encode()) for n in range(len(words) + 1)}
    found = character_offsets(words, offsets)
    assert found == {o: len(encoded[:o].decode()) for o in offsets if o in begins}


@pytest.mark.parametrize(
    ("start", "end"),
    [(1, 4), (0, 3), (-2, 4), (0, 999), (8, 4), ("0", "4"), (0.0, 4.0), (True, 4), (None, 4), (0, None)],
)
def test_offsets_that_name_no_characters_are_null_and_the_annotation_is_kept(
    run: Conversations, tmp_path: Path, start: object, end: object
) -> None:
    run.hold(interaction(output(text(PERSIAN, url(start, end)))))
    (record,) = run.citations(tmp_path)
    assert places(record) == (None, None, None)
    assert (record["start_in_text"], record["end_in_text"]) == (None, None)
    assert json.loads(record["annotation"]) == url(start, end)


def test_a_start_of_zero_may_be_left_out(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(text(PERSIAN, {"type": "url_citation", "end_index": 8}))))
    assert places(run.citations(tmp_path)[0]) == ("سلام", 0, 4)


def test_places_in_the_rows_text_count_the_blocks_before(run: Conversations, tmp_path: Path) -> None:
    run.hold(
        interaction(output(text("Not in the text. ", url(0, 3))), {"type": "google_search_call", "id": "c"},
                    output(text("چای "), text("tea", url(0, 3)))),
    )  # fmt: skip
    (row,) = run.results(tmp_path)
    before, within = run.citations(tmp_path)
    assert row["text"] == "چای tea"
    assert (before["text"], before["step"], before["start_in_text"]) == ("Not", 0, None)
    assert (within["step"], within["block"], within["start"], within["end"]) == (2, 1, 0, 3)
    assert row["text"][within["start_in_text"] : within["end_in_text"]] == within["text"] == "tea"


def test_places_in_a_continued_answer_count_from_its_first_part(run: Conversations, tmp_path: Path) -> None:
    first = interaction(output(text("one ", url(0, 3))), status="requires_continuation")
    run.hold(first, interaction(output(text("two", url(0, 3)))))
    (row,) = run.results(tmp_path)
    found = run.citations(tmp_path)
    assert [(c["exchange"], c["start_in_text"], c["end_in_text"]) for c in found] == [(0, 0, 3), (1, 4, 7)]
    assert [row["text"][c["start_in_text"] : c["end_in_text"]] for c in found] == ["one", "two"]


def test_the_citations_of_earlier_turns_are_there_and_not_in_the_rows_text(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(text("one", url(0, 3)))), said("two"))
    (record,) = run.citations(tmp_path)
    assert (record["exchange"], record["text"], record["start_in_text"]) == (0, "one", None)


def test_every_kind_fills_its_own_columns(run: Conversations, tmp_path: Path) -> None:
    notes = [
        {"type": "file_citation", "file_name": "a.pdf", "document_uri": "fileSearchStores/s/d", "page_number": 7},
        {"type": "place_citation", "place_id": "places/x", "name": "کافه", "url": "https://maps"},
        {"type": "word_info", "text": "hi", "start_offset": "0.5s", "start_index": 0, "end_index": 2},
        {"type": "from_the_future", "surprise": True},
    ]
    run.hold(interaction(output(text("hi there", *notes))))
    file, place, word, future = run.citations(tmp_path)
    assert (file["file_name"], file["url"], file["page_number"]) == ("a.pdf", "fileSearchStores/s/d", 7)
    assert (place["place_id"], place["title"], place["url"]) == ("places/x", "کافه", "https://maps")
    assert (word["kind"], word["text"], word["start"], word["end"]) == ("word_info", "hi", 0, 2)
    assert (future["kind"], json.loads(future["annotation"])) == ("from_the_future", notes[3])


@pytest.mark.parametrize(
    "annotations",
    ["odd", {"type": "x"}, [7, None, "x", []], [{"type": ["x"], "url": 7, "title": {}, "page_number": 2**80}]],
)
def test_annotations_of_any_form_do_not_stop_an_export(run: Conversations, tmp_path: Path, annotations: object) -> None:
    run.hold(interaction(output({"type": "text", "text": "hi", "annotations": annotations}, 7, {"type": "text"})))
    expected = [None] * sum(isinstance(note, dict) for note in annotations) if isinstance(annotations, list) else []
    assert [record["kind"] for record in run.citations(tmp_path)] == expected


def test_half_a_surrogate_pair_shifts_no_place(run: Conversations, tmp_path: Path) -> None:
    run.hold(interaction(output(text("\ud800 tea", url(4, 7)))))
    (record,) = run.citations(tmp_path)
    assert places(record) == ("tea", 2, 5)
    assert record["start_in_text"] is None  # the column `text` holds an escape, which is longer


def test_thousands_of_words_with_their_times_take_no_time(run: Conversations, tmp_path: Path) -> None:
    words = "کلمه " * 20_000
    size = len("کلمه ".encode())
    notes = [{"type": "word_info", "start_index": n * size, "end_index": (n + 1) * size - 1} for n in range(20_000)]
    run.hold(interaction(output(text(words, *notes))))
    found = run.citations(tmp_path)
    assert len(found) == 20_000
    assert {record["text"] for record in found} == {"کلمه"}
