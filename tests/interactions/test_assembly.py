"""Events become an interaction; nothing a server sends is an exception, and what nobody knows is kept."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.interactions.assembly import Assembly
from batchrun.interactions.models import as_json
from batchrun.interactions.pieces import (
    Annotations,
    Media,
    Piece,
    Status,
    StepStarted,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Unread,
    unseen,
)
from batchrun.interactions.sse import Event

CREATED = {"event_type": "interaction.created", "interaction": {"id": "v1_a", "status": "in_progress"}}
COMPLETED = {"event_type": "interaction.completed", "interaction": {"id": "v1_a", "status": "completed"}}


def event(told: Any) -> Event:
    return Event("", told if isinstance(told, bytes) else json.dumps(told).encode(), "")


def take(*events: Any) -> tuple[Assembly, list[Piece]]:
    heard = Assembly()
    return heard, [piece for told in events for piece in heard.take(event(told))]


def of_step(step: dict[str, Any], *deltas: dict[str, Any], index: int = 0) -> list[dict[str, Any]]:
    """The events of one step."""
    begin = {"event_type": "step.start", "index": index, "step": step}
    told = [{"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas]
    return [begin, *told, {"event_type": "step.stop", "index": index}]


def whole(step: dict[str, Any], *deltas: dict[str, Any]) -> tuple[dict[str, Any], list[Piece]]:
    """The step that deltas make, and what they show after its start."""
    heard, pieces = take(*of_step(step, *deltas))
    return heard.whole()["steps"][0], pieces[1:]


def audio(content: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "audio", "data": b64encode(content).decode(), "mime_type": "audio/l16", **more}


def test_text_is_joined_and_told_piece_by_piece() -> None:
    parts = [{"type": "text", "text": part} for part in ("سلا", "م ", "دنیا")]
    step, pieces = whole({"type": "model_output"}, *parts)
    assert step == {"type": "model_output", "content": [{"type": "text", "text": "سلام دنیا"}]}
    assert pieces == [Text(0, "سلا"), Text(0, "م "), Text(0, "دنیا")]


def test_half_characters_of_two_deltas_become_one() -> None:
    heard, _ = take(CREATED, *of_step({"type": "model_output"}, *({"type": "text", "text": c} for c in "\ud83c\udfc6")))
    assert json.loads(as_json(heard.whole()))["steps"][0]["content"][0]["text"] == "🏆"


def test_annotations_belong_to_the_text_before_them() -> None:
    notes = [{"type": "url_citation", "url": "https://a.example", "start_index": 0, "end_index": 1}]
    deltas = [{"type": "text", "text": "a"}, {"type": "text_annotation_delta", "annotations": notes}]
    step, pieces = whole({"type": "model_output"}, *deltas, {"type": "text", "text": "b"})
    assert step["content"] == [{"type": "text", "text": "ab", "annotations": notes}]
    assert Annotations(0, tuple(notes)) in pieces


def test_a_thought_has_its_summary_and_its_signature() -> None:
    content = {"type": "text", "text": "Hm."}
    signed = {"type": "thought_signature", "signature": "c2ln"}
    step, pieces = whole({"type": "thought"}, {"type": "thought_summary", "content": content}, signed)
    assert step == {"type": "thought", "summary": [content], "signature": "c2ln"}
    assert pieces == [Thought(0, "Hm.")]


def test_arguments_are_parsed_when_they_are_complete() -> None:
    call = {"type": "function_call", "id": "c1", "name": "look", "arguments": {}}
    pieces = [{"type": "arguments_delta", "arguments": part} for part in ('{"city": "تهر', 'ان"}')]
    step, shown = whole(call, *pieces)
    assert step == {**call, "arguments": {"city": "تهران"}}
    assert shown == [ToolCall(0, "function_call", "look", {"city": "تهران"})]


def test_arguments_that_are_no_json_are_kept_as_they_came() -> None:
    step, _ = whole({"type": "function_call", "name": "look"}, {"type": "arguments_delta", "arguments": '{"city'})
    assert step["arguments"] == '{"city'


def test_arguments_of_the_start_stay_if_nothing_more_comes() -> None:
    step, shown = whole({"type": "function_call", "id": "c1", "name": "look", "arguments": {"a": 1}})
    assert step["arguments"] == {"a": 1}
    assert shown == [ToolCall(0, "function_call", "look", {"a": 1})]


def test_parallel_calls_are_kept_apart() -> None:
    events = [of_step({"type": "function_call", "name": str(n)}, index=n) for n in range(2)]
    for index, told in enumerate(events):
        delta = {"type": "arguments_delta", "arguments": f'{{"n": {index}}}'}
        told.insert(1, {"event_type": "step.delta", "index": index, "delta": delta})
    mixed = [told for pair in zip(*events, strict=True) for told in pair]
    heard, _ = take(*mixed)
    assert [step["arguments"] for step in heard.whole()["steps"]] == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize("name", ["code_execution", "google_search", "url_context", "google_maps", "unheard_of"])
def test_server_tools_fill_their_steps(name: str) -> None:
    call = {"type": f"{name}_call", "arguments": {"a": 1}, "signature": "c2ln"}
    step, shown = whole({"type": f"{name}_call", "id": "t1", "arguments": {}}, call)
    assert step == {"id": "t1", **call}
    assert shown == [ToolCall(0, f"{name}_call", None, {"a": 1})]
    result = {"type": f"{name}_result", "result": [{"b": 2}], "is_error": True}
    step, shown = whole({"type": f"{name}_result", "call_id": "t1", "result": []}, result)
    assert step == {"call_id": "t1", **result}
    assert shown == [ToolResult(0, f"{name}_result", None, [{"b": 2}], True)]


def test_a_result_may_come_in_parts() -> None:
    parts = [{"type": "code_execution_result", "result": part} for part in ("0, ", "1")]
    assert whole({"type": "code_execution_result", "result": ""}, *parts)[0]["result"] == "0, 1"


def test_pieces_of_sound_are_decoded_one_by_one_and_joined() -> None:
    step, shown = whole({"type": "model_output"}, audio(b"a", sample_rate=24000), audio(b"bc"), audio(b"def"))
    (block,) = step["content"]
    assert b64decode(block["data"]) == b"abcdef"
    assert (block["mime_type"], block["sample_rate"]) == ("audio/l16", 24000)
    assert shown == [Media(0, "audio", "audio/l16", size, None) for size in (1, 2, 3)]


@pytest.mark.parametrize(
    "second", [audio(b"RIFFb"), audio(b"b", mime_type="audio/mp3"), {"type": "audio", "uri": "https://a.example/b"}]
)
def test_another_sound_is_a_block_of_its_own(second: dict[str, Any]) -> None:
    step, _ = whole({"type": "model_output"}, audio(b"RIFFa"), second)
    assert step["content"] == [audio(b"RIFFa"), second]


def test_sound_that_is_no_base64_is_kept_as_it_came() -> None:
    odd = {"type": "audio", "data": "not base64!", "mime_type": "audio/l16"}
    assert whole({"type": "model_output"}, audio(b"a"), odd)[0]["content"] == [audio(b"a"), odd]


def test_media_and_text_keep_their_order() -> None:
    image = {"type": "image", "data": "aGk=", "mime_type": "image/png"}
    texts = [{"type": "text", "text": text} for text in ("before", "after")]
    step, shown = whole({"type": "model_output"}, texts[0], image, texts[1])
    assert step["content"] == [texts[0], image, texts[1]]
    assert Media(0, "image", "image/png", 2, None) in shown


def test_the_last_event_ends_it_and_closes_what_is_open() -> None:
    begin, delta, _ = of_step({"type": "function_call", "name": "f"}, {"type": "arguments_delta", "arguments": "{}"})
    heard, pieces = take(CREATED, begin, delta, COMPLETED)
    assert heard.completed
    assert heard.whole() == {
        "id": "v1_a",
        "status": "completed",
        "steps": [{"type": "function_call", "name": "f", "arguments": {}}],
    }
    assert pieces[0] == Status("v1_a", "in_progress")
    assert pieces[-1] == ToolCall(0, "function_call", "f", {})


def test_a_completed_interaction_has_steps_even_if_there_are_none() -> None:
    assert take(CREATED, COMPLETED)[0].whole()["steps"] == []


def test_steps_that_the_last_event_tells_hold() -> None:
    steps = [{"type": "model_output", "content": [{"type": "text", "text": "all of it"}]}]
    told = {**COMPLETED, "interaction": {**COMPLETED["interaction"], "steps": steps}}  # type: ignore[dict-item]
    heard, _ = take(CREATED, *of_step({"type": "model_output"}), told)
    assert heard.whole()["steps"] == steps


def test_usage_may_come_with_a_status() -> None:
    update = {"event_type": "interaction.status_update", "interaction_id": "v1_a", "status": "in_progress"}
    heard, pieces = take(CREATED, {**update, "usage": {"total_tokens": 3}}, COMPLETED)
    assert heard.whole()["usage"] == {"total_tokens": 3}
    assert not heard.lacking
    assert pieces == [Status("v1_a", "in_progress")]


def test_the_first_id_stays() -> None:
    other = {**COMPLETED, "interaction": {"id": "v1_b", "status": "completed"}}
    assert take(CREATED, other)[0].interaction_id == "v1_a"


def test_an_older_event_may_end_it_if_the_stream_says_that_it_is_done() -> None:
    heard, _ = take({**CREATED, "event_type": "interaction.requires_action"}, b"[DONE]")
    assert not heard.completed
    waits = {"event_type": "interaction.requires_action", "interaction": {"id": "v1_a", "status": "requires_action"}}
    assert take(CREATED, waits, b"[DONE]")[0].completed


def test_an_error_is_the_reason_if_nothing_more_comes_and_an_empty_one_is_none() -> None:
    assert take(CREATED, {"event_type": "error", "error": {}}, {"event_type": "error"})[0].complaint is None
    told = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "Too late."}}
    assert take(CREATED, told)[0].complaint == "gateway_timeout: Too late."


@pytest.mark.parametrize("data", [b"[1, 2]", b"{", b"", b"\xff", b"[" * 100_000, b"null"])
def test_an_event_that_cannot_be_read_ends_it(data: bytes) -> None:
    assert take(CREATED, data)[0].failure == "an event came that cannot be read"


def test_an_error_in_an_array_is_understood() -> None:
    data = b'[{"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}]'
    assert take(CREATED, data)[0].failure == "unavailable: Busy."


def test_unknown_events_deltas_and_steps_are_kept() -> None:
    event_of_tomorrow = {"event_type": "interaction.tea_break", "minutes": 5}
    delta = {"type": "smell", "scent": "rose"}
    step = {"type": "daydream", "depth": 3}
    begin, odd, stop = of_step(step, delta)
    heard, pieces = take(CREATED, event_of_tomorrow, begin, odd, stop, COMPLETED)
    assert heard.whole()["steps"] == [step]
    assert heard.whole()["unread"] == [event_of_tomorrow, odd]
    assert pieces[1:] == [Unread(event_of_tomorrow), StepStarted(0, "daydream", None), Unread(odd)]


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        ({"type": "text", "text": "a"}, "model_output"),
        ({"type": "thought_signature", "signature": "a"}, "thought"),
        ({"type": "arguments_delta", "arguments": "{}"}, "function_call"),
        ({"type": "url_context_result", "result": []}, "url_context_result"),
    ],
)
def test_a_delta_without_a_start_begins_its_step(delta: dict[str, Any], kind: str) -> None:
    heard, _ = take(CREATED, {"event_type": "step.delta", "index": 4, "delta": delta}, COMPLETED)
    assert [step["type"] for step in heard.whole()["steps"]] == [kind]


@pytest.mark.parametrize("status", [{"a": 1}, ["completed"], 7])
def test_an_end_without_a_status_that_can_be_read_is_no_end(status: Any) -> None:
    heard, _ = take({"event_type": "interaction.created", "interaction": {"id": "v1_a", "status": status}}, b"[DONE]")
    assert (heard.completed, heard.failure) == (False, "it ended without telling what the interaction came to")


NAME = """
    type event_type index step delta interaction error content text summary arguments result data id status steps
    annotations signature usage
"""
WORD = """
    step.start step.delta step.stop interaction.created interaction.completed interaction.status_update error text
    audio image thought_summary thought_signature arguments_delta text_annotation_delta model_output thought
    function_call google_search_result completed YQ==
"""
NAMES, WORDS = st.sampled_from(NAME.split()), st.sampled_from(WORD.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | WORDS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
DELTAS = st.fixed_dictionaries({"type": WORDS}, optional=dict.fromkeys(("text", "data", "content", "result"), VALUES))
TOLD = st.one_of(
    VALUES,
    st.fixed_dictionaries({"event_type": st.just("step.start"), "index": st.integers(0, 1), "step": VALUES}),
    st.fixed_dictionaries({"event_type": st.just("step.delta"), "index": st.integers(0, 1), "delta": DELTAS}),
    st.fixed_dictionaries({"event_type": WORDS, "index": st.integers(0, 1), "interaction": VALUES}),
)


@given(st.lists(TOLD, max_size=8))
def test_nothing_that_a_server_tells_is_an_exception(events: list[Any]) -> None:
    heard, pieces = take(*events)
    assert isinstance(json.loads(as_json(heard.whole())), dict)
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert list(unseen(heard.steps, [heard.steps.get(index, {}) for index in range(2)])) == [
        StepStarted(index, "None", None) for index in range(2) if index not in heard.steps
    ]


def test_what_a_cut_stream_did_not_show_is_shown_later() -> None:
    begin, text, _ = of_step({"type": "model_output"}, {"type": "text", "text": "Half "})
    called, _ = of_step({"type": "function_call", "name": "f", "arguments": {}}, index=1)
    heard, _ = take(CREATED, begin, text, called)
    steps = [
        {"type": "model_output", "content": [{"type": "text", "text": "Half of it."}]},
        {"type": "function_call", "name": "f", "arguments": {}},
    ]
    more = [*steps, {"type": "daydream"}]
    later = [Text(0, "of it."), ToolCall(1, "function_call", "f", {}), StepStarted(2, "daydream", None)]
    assert list(unseen(heard.told, more)) == later
