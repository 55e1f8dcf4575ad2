"""A create that streams answers what a GET of the stored interaction answers, whatever happens to the stream."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, parse_latency
from batchrun.interactions.bodies import encode
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Lost, NotSent, Reply, Submitted, of_post
from batchrun.interactions.in_process import InProcess
from batchrun.interactions.pieces import (
    Annotations,
    Media,
    Piece,
    Status,
    StepStarted,
    Stopped,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Waiting,
)
from batchrun.interactions.streaming import StreamingClient
from tests.processes import emulator
from tests.virtual_time import VirtualTime

MODEL = "gemini-3.5-flash"
PERSIAN = "چه کسی یورو ۲۰۲۴ را برد؟"
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}}
SUMMARIES = {"generation_config": {"thinking_summaries": "auto"}}
ASKED: dict[str, dict[str, Any]] = {
    "text": {},
    "persian": {"input": PERSIAN},
    "thoughts": SUMMARIES,
    "parallel calls": {"tools": [WEATHER], "input": "The weather in Rome and in Oslo, please."},
    "search with citations": {"tools": [{"type": "google_search"}], "input": PERSIAN},
    "code": {"tools": [{"type": "code_execution"}], "input": "Sum of the first 50 primes?"},
    "pages": {"tools": [{"type": "url_context"}], "input": "Compare https://a.example and https://b.invalid/x."},
    "maps": {"tools": [{"type": "google_maps", "enable_widget": True}], "input": "Cafes near Rome"},
    "files": {"tools": [{"type": "file_search", "file_search_store_names": ["fileSearchStores/a"]}]},
    "mcp": {"tools": [{"type": "mcp_server", "name": "t", "url": "https://e.example"}], "model": "gemini-2.5-flash"},
    "json": {"response_format": {"type": "text", "mime_type": "application/json", "schema": {"type": "object"}}},
    "image": {"model": "gemini-3.1-flash-image", "response_format": {"type": "image", "image_size": "512"}},
    "audio": {"model": "gemini-3.8-flash-tts", "input": "Say this."},
    "cut short": {"generation_config": {"max_output_tokens": 3}},
    "research": {
        "model": None,
        "agent": "deep-research-preview-04-2026",
        "background": True,
        "input": "Rents, with charts",
    },
    "sandbox": {"model": None, "agent": "antigravity-preview-09-2026", "environment": "remote", "background": True},
}


@dataclass
class Heard:
    """What came of a create: the call, the pieces with their times, the whole answer of a GET, the GETs there were."""

    call: Call
    pieces: list[Piece]
    times: list[float]
    got: dict[str, Any] | None
    gets: int
    took: float

    @property
    def answer(self) -> dict[str, Any]:
        assert isinstance(self.call, Reply), self.call
        document: dict[str, Any] = json.loads(self.call.body)
        return document

    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Text))


def request(**fields: Any) -> bytes:
    body = {"model": MODEL, "input": "How many paws are in my house?", "store": True, **fields}
    return encode({name: value for name, value in body.items() if value is not None})


def hear(faults: str = "", latency: str = "20s", body: bytes | None = None, **fields: Any) -> Heard:
    """A create against an emulator in this process, in virtual time."""
    clock = VirtualTime()
    plan = load_faults(faults) if faults else ()
    running = Emulator(EmulatorSettings(faults=plan, latency=parse_latency(latency), clock=clock.wall))
    pieces: list[Piece] = []
    times: list[float] = []

    def tell(piece: Piece) -> None:
        pieces.append(piece)
        times.append(clock.now)

    async def main() -> Heard:
        client = StreamingClient("the-api-key", tell=tell, transport=InProcess(running.app, running.close))
        call = await client.create(request(**fields) if body is None else body)
        took, gets = clock.now, running.counts.gets
        await asyncio.sleep(1e6 if "late" not in faults else 0)  # whatever the stream did, it has ended by now
        got = await stored(client, pieces)
        await client.aclose()
        return Heard(call, pieces, times, got, gets, took)

    return clock.run(main())


async def stored(client: Client, pieces: list[Piece]) -> dict[str, Any] | None:
    """The interaction as a GET shows it, without the inputs."""
    named = (piece.interaction_id for piece in pieces if isinstance(piece, Status) and piece.interaction_id)
    call = await client.get(next(named, "none"))
    if not isinstance(call, Reply) or not call.ok:
        return None
    try:
        document: dict[str, Any] = json.loads(call.body)
    except RecursionError:
        return None
    if "steps" in document:
        document["steps"] = [step for step in document["steps"] if step["type"] != "user_input"]
    return document


def same(heard: Heard) -> None:
    """The answer is the one that a GET gives. A stream leaves out what it does not tell, such as labels."""
    assert heard.got is not None
    known = {name: heard.got[name] for name in heard.answer}
    assert heard.answer == known
    assert {"id", "status", "steps", "usage"} <= set(heard.answer)


# -- the whole answer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_a_streamed_answer_is_the_stored_one(name: str) -> None:
    heard = hear(**ASKED[name])
    same(heard)
    assert heard.gets == 0
    assert heard.pieces[-1] == Stopped(heard.answer["status"], heard.answer["usage"])


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([WEATHER, {"type": "google_search"}, {"type": "code_execution"}]), max_size=2),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.sampled_from(["Rome and Oslo", PERSIAN, "the first 20 primes", ""]),
    st.sampled_from([{}, {"thinking_summaries": "auto"}, {"thinking_level": "high", "max_output_tokens": 9}]),
    st.sampled_from(["", "sse_cut", "sse_truncated", "truncate"]),
)
def test_any_streamed_answer_is_the_stored_one(
    tools: list[Any], words: str, more: str, config: dict[str, Any], fault: str
) -> None:
    fields: dict[str, Any] = {"input": f"{words} {more}".strip() or "Hello", "generation_config": config}
    heard = hear(fault, **fields, tools=tools or None)
    same(heard)
    assert heard.text() == "".join(
        block["text"] for step in heard.answer["steps"] for block in step.get("content", ()) if "text" in block
    )


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("thoughts", [Thought, Text]),
        ("parallel calls", [ToolCall, ToolCall]),
        ("search with citations", [ToolCall, ToolResult, Text, Annotations]),
        ("image", [Media]),
    ],
)
def test_pieces_tell_what_comes(name: str, kinds: list[type]) -> None:
    heard = hear(**ASKED[name])
    told = [type(piece) for piece in heard.pieces if not isinstance(piece, Status | StepStarted | Stopped)]
    assert [
        kind for kind, before in zip(told, [None, *told], strict=False) if kind is not Text or before is not Text
    ] == kinds
    begun = [piece.type for piece in heard.pieces if isinstance(piece, StepStarted)]
    assert begun == [step["type"] for step in heard.answer["steps"]]


def test_a_medium_is_told_with_its_size() -> None:
    heard = hear(**ASKED["image"])
    (medium,) = [piece for piece in heard.pieces if isinstance(piece, Media)]
    assert medium.size == len(b64decode(heard.answer["steps"][-1]["content"][0]["data"]))


def test_pieces_are_told_when_they_come_not_in_the_end() -> None:
    heard = hear(latency="20s")
    assert (heard.pieces[0], heard.times[0]) == (Status(heard.answer["id"], "in_progress"), 0)
    spoken = [at for piece, at in zip(heard.pieces, heard.times, strict=True) if isinstance(piece, Text)]
    assert len(spoken) == len(set(spoken)) > 3
    assert 10 < spoken[0] < spoken[-1] < heard.times[-1] == pytest.approx(20)


def test_the_reply_proves_what_a_reply_to_a_post_proves() -> None:
    heard = hear()
    assert of_post(heard.call, 0) == Submitted(heard.answer["id"])
    assert isinstance(heard.call, Reply)
    assert heard.call.headers["x-gemini-service-tier"] == "standard"


def test_what_a_later_look_shows_is_looked_for_once() -> None:
    failed = hear("failed")
    assert failed.answer["errors"] == [{"code": "api_error", "message": "Internal error encountered. (emulated)"}]
    assert [failed.gets, hear("no_usage").gets, hear("failed", store=False).gets] == [1, 1, 0]


def test_usage_that_is_never_told_stays_unknown() -> None:
    assert hear("no_usage").pieces[-1] == Stopped("completed", None)


# -- streams that are cut --------------------------------------------------------------------------------------------

CUTS = ("sse_cut", "sse_cut=5s", "sse_truncated", "drop_during=5s", "truncate", "reset_during=5s")


@pytest.mark.parametrize("fault", CUTS)
@pytest.mark.parametrize("name", ["text", "search with citations", "parallel calls"])
def test_the_answer_of_a_cut_stream_is_fetched(fault: str, name: str) -> None:
    heard = hear(fault, **ASKED[name])
    same(heard)
    assert heard.gets >= 1
    assert any(isinstance(piece, Waiting) for piece in heard.pieces)
    assert heard.pieces[-1] == Stopped(heard.answer["status"], heard.answer["usage"])


@pytest.mark.parametrize("fault", CUTS)
def test_what_a_cut_stream_did_not_tell_is_told_after_all(fault: str) -> None:
    def told(heard: Heard) -> tuple[str, set[str]]:
        others = {str(piece) for piece in heard.pieces if not isinstance(piece, Text | Status | Waiting | Stopped)}
        return heard.text(), others

    fields = ASKED["search with citations"]
    assert told(hear(fault, **fields)) == told(hear(**fields))


def test_the_reason_of_a_cut_is_told() -> None:
    reasons = [piece.reason for piece in hear("sse_cut").pieces if isinstance(piece, Waiting)]
    assert reasons[0] == "the stream was cut: unavailable: The service is currently unavailable. (emulated)"


@pytest.mark.parametrize("fault", [*CUTS, "truncated_200"])
def test_a_cut_stream_that_was_not_stored_is_lost(fault: str) -> None:
    heard = hear(fault, store=False)
    assert isinstance(heard.call, Lost)
    assert "cut" in heard.call.reason or fault == "truncated_200"
    assert heard.gets == 0


@pytest.mark.parametrize("fault", ["drop_after", "reset_after", "truncate_head", "truncated_200", "drop_before"])
def test_a_stream_that_never_named_its_interaction_is_lost(fault: str) -> None:
    heard = hear(fault)
    assert isinstance(heard.call, Lost)
    assert heard.pieces == []


def test_a_request_that_was_never_sent_is_not_lost() -> None:
    assert isinstance(hear("refused_connection").call, NotSent)


def test_a_silent_stream_is_given_up_and_its_answer_fetched() -> None:
    heard = hear(latency="10m")
    same(heard)
    assert heard.times[1] == pytest.approx(90)
    assert heard.took < 640


def test_a_silent_stream_that_nothing_else_could_tell_is_waited_for() -> None:
    heard = hear(latency="9m", store=False)
    assert (heard.gets, heard.answer["status"], heard.took) == (0, "completed", pytest.approx(540))
    assert isinstance(hear(latency="21m", store=False).call, Lost)


def test_polls_after_a_cut_go_on_over_failures() -> None:
    heard = hear("sse_truncated:#1, get/503:x3")
    same(heard)
    assert heard.gets == 4
    reasons = [piece.reason for piece in heard.pieces if isinstance(piece, Waiting)]
    assert reasons[1].startswith("HTTP 503 unavailable: ")


def test_polls_after_a_cut_end_at_the_deadline_with_what_is_known() -> None:
    heard = hear("sse_cut=5s", latency="24h")
    assert heard.answer["status"] == "in_progress"
    assert isinstance(of_post(heard.call, 0), Submitted)
    assert 860 < heard.took <= 905
    assert heard.gets < 45


def test_an_interaction_of_another_name_is_no_answer() -> None:
    heard = hear("wrong_id")
    assert heard.answer["status"] == "completed"


@pytest.mark.parametrize(
    "fault", ["incomplete", "cancelled", "budget_exceeded", "no_steps", "unknown_status", "lone_surrogate", "deep_json"]
)
def test_an_odd_end_is_the_stored_one(fault: str) -> None:
    heard = hear(fault)
    assert heard.got is not None
    assert [heard.answer.get(name) for name in ("status", "steps", "usage")] == [
        heard.got.get(name) for name in ("status", "steps", "usage")
    ]


def test_a_deep_answer_is_heard() -> None:
    assert hear("deep_answer", latency="0s").text().startswith("[emulated]")


@pytest.mark.parametrize("fault", ["no_id_200", "bad_id_200"])
def test_an_interaction_without_a_usable_id_is_not_submitted(fault: str) -> None:
    assert not isinstance(of_post(hear(fault).call, 0), Submitted)


@pytest.mark.parametrize("fault", ["slow=100s", "slow_loris=300s", "giant_body"])
def test_slow_and_giant_streams_are_heard_to_their_end(fault: str) -> None:
    assert hear(fault).text() == hear().text()


# -- answers that are no stream --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["429", "503", "500_created", "502_html", "array_envelope", "402"])
def test_a_refusal_is_replied_as_it_is(fault: str) -> None:
    heard = hear(fault)
    assert isinstance(heard.call, Reply)
    assert heard.call.status >= 400
    assert heard.pieces == []


def test_a_json_answer_is_replied_as_it_is_and_told() -> None:
    heard = hear(body=request(stream=False))
    assert heard.answer["object"] == "interaction"
    assert heard.text() == heard.answer["steps"][-1]["content"][0]["text"]
    assert isinstance(heard.pieces[-1], Stopped)


def test_a_request_that_is_no_json_is_refused_by_the_service() -> None:
    call = hear(body=b"{").call
    assert isinstance(call, Reply)
    assert call.status == 400


def test_the_key_is_in_no_piece_and_no_answer() -> None:
    heard = hear(input="Say the-api-key.", tools=[{"type": "google_search"}])
    assert "[the API key]" in str(heard.pieces)
    assert "the-api-key" not in str(heard.pieces) + str(heard.answer)


# -- over sockets ----------------------------------------------------------------------------------------------------


#: Faults by the label that asks for them.
BREAKS = ("drop_during=100ms@case=dropped", "reset_during=100ms@case=reset")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("served"), "--latency", "300ms", "--faults", ",".join(BREAKS)) as url:
        yield url


def over_a_socket(url: str, **fields: Any) -> Heard:
    pieces: list[Piece] = []
    times: list[float] = []

    def tell(piece: Piece) -> None:
        pieces.append(piece)
        times.append(time.perf_counter())

    async def main() -> Heard:
        begun = time.perf_counter()
        client = StreamingClient("the-api-key", tell=tell, base_url=url, max_body_bytes=2**20)
        call = await client.create(request(**fields))
        took = time.perf_counter() - begun
        got = await stored(client, pieces)
        await client.aclose()
        return Heard(call, pieces, times, got, 0, took)

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["persian", "search with citations", "parallel calls", "audio"])
def test_a_stream_over_a_socket_is_the_stored_answer(served: str, name: str) -> None:
    heard = over_a_socket(served, **ASKED[name])
    same(heard)
    assert heard.times[-1] - heard.times[0] > 0.2  # the first piece did not wait for the last


@pytest.mark.parametrize(
    "labels", [{"emulate-fault": fault} for fault in CUTS[::2]] + [{"case": "dropped"}, {"case": "reset"}]
)
def test_a_stream_that_really_breaks_ends_in_the_stored_answer(served: str, labels: dict[str, str]) -> None:
    heard = over_a_socket(served, labels=labels)
    same(heard)
    assert any(isinstance(piece, Waiting) for piece in heard.pieces)


@pytest.mark.parametrize("fault", ["drop_after", "reset_after", "truncate_head"])
def test_a_stream_that_breaks_before_its_first_event_is_lost(served: str, fault: str) -> None:
    assert isinstance(over_a_socket(served, labels={"emulate-fault": fault}).call, Lost)


@pytest.mark.parametrize("fault", ["giant_body", "gzip_bomb"])
def test_a_stream_beyond_the_cap_is_not_taken(served: str, fault: str) -> None:
    call = over_a_socket(served, labels={"emulate-fault": fault}).call
    assert isinstance(call, Lost)
    assert call.answered


def test_nobody_at_the_address_is_not_sent(tmp_path: Path) -> None:
    assert isinstance(over_a_socket("http://127.0.0.1:9").call, NotSent)
