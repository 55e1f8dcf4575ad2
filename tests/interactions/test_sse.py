"""Server-sent events from bytes, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batchrun.interactions.sse import Event, EventReader

PERSIAN = "سلام دنیا 🏆 «یورو ۲۰۲۴»"
STREAM = (
    f"event: step.delta\ndata: {PERSIAN}\n\n: keep-alive\n\nid: 7\ndata: one\ndata: two\n\ndata: [DONE]\n\n".encode()
)
EVENTS = [Event("step.delta", PERSIAN.encode(), ""), Event("", b"one\ntwo", "7"), Event("", b"[DONE]", "7")]


def read(chunks: Iterable[bytes]) -> list[Event]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def data(stream: str) -> list[bytes]:
    return [event.data for event in read([stream.encode()])]


def test_events_come_byte_by_byte() -> None:
    assert read(bytes([byte]) for byte in STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_do_not_depend_on_where_the_bytes_are_cut(cuts: list[int], newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    places = [0, *sorted(cuts), len(stream)]
    assert read(stream[start:end] for start, end in pairwise(places)) == EVENTS


def test_a_line_end_of_two_bytes_may_be_cut_in_its_middle() -> None:
    assert [event.data for event in read([b"data: a\r", b"\ndata: b\r", b"", b"\n\r", b"\n"])] == [b"a\nb"]


def test_a_byte_order_mark_comments_and_unknown_fields_are_passed_over() -> None:
    assert data("\ufeffdata: a\n\n") == [b"a"]
    assert data(":\n: note\nretry: 10\nfoo: bar\ndata:a\n\n") == [b"a"]


def test_only_the_first_space_belongs_to_the_field() -> None:
    assert data("data:  a: b \n\ndata\n\n") == [b" a: b ", b""]


def test_a_block_without_data_is_no_event() -> None:
    assert data("event: done\n\nid: 3\n\n\n\n") == []


def test_what_was_begun_and_not_ended_is_given_at_the_end() -> None:
    reader = EventReader()
    assert reader.feed(b'data: {"event') == []
    assert [event.data for event in reader.end()] == [b'{"event']


def test_an_error_that_stands_where_an_event_should_is_not_lost() -> None:
    reader = EventReader()
    reader.feed(STREAM + b'[{\n "error": {"code": 503}\n}]')
    assert reader.end() == []
    assert reader.stray == b'[{\n "error": {"code": 503}\n}]\n'


def test_text_that_is_no_event_does_not_pile_up() -> None:
    reader = EventReader()
    for _ in range(100):
        reader.feed(b"x" * 10_000 + b"\n")
    assert len(reader.stray) < 100_000
