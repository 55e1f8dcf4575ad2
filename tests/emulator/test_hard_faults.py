"""Faults of the connection, of bodies and streams, and those that stay with an interaction."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, parse_latency
from batchrun.emulator.app import App
from tests.emulator.in_process import KEY, URL, Clock, body, talk
from tests.processes import emulator
from tests.virtual_time import VirtualTime

Event = tuple[float, str, Any]


def exchange(plan: str, fields: dict[str, Any] | None = None, latency: str = "0s") -> tuple[list[Event], Emulator]:
    """What a create's connection carries and when, in virtual time; the last event may be an exception."""
    time = VirtualTime()
    settings = EmulatorSettings(faults=load_faults(plan), latency=parse_latency(latency), clock=time.wall)
    running = Emulator(settings)
    seen: list[Event] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body(**(fields or {}))).encode()}

    async def send(message: Any) -> None:
        seen.append((time.now, message["type"], message.get("body", message.get("headers"))))

    headers = [(name.encode(), value.encode()) for name, value in KEY.items()]
    scope = {"type": "http", "method": "POST", "path": URL, "headers": headers}
    try:
        time.run(_call(App(running.service), scope, receive, send))
    except httpx.TransportError as error:
        seen.append((time.now, type(error).__mro__[1].__name__, None))
    finally:
        running.close()
    return seen, running


async def _call(app: App, *call: Any) -> None:
    await app(*call)


@pytest.mark.parametrize(
    ("kind", "error", "billed"),
    [
        ("reset_before", "ReadError", 0),
        ("truncate_before", "RemoteProtocolError", 0),
        ("reset_during=5s", "ReadError", 1),
        ("drop_during=5s", "RemoteProtocolError", 1),
        ("reset_after", "ReadError", 1),
        ("truncate_head", "RemoteProtocolError", 1),
    ],
)
def test_a_connection_can_break_before_during_and_after(kind: str, error: str, billed: int) -> None:
    seen, made = exchange(kind)
    assert (seen[-1][1], made.counts.billed) == (error, billed)
    assert seen[-1][0] == (5 if "during" in kind else 0)


def test_a_head_can_come_without_its_body() -> None:
    seen, _ = exchange("truncate_head")
    assert [kind for _, kind, _ in seen] == ["http.response.start", "RemoteProtocolError"]


def test_an_error_can_break_off_too() -> None:
    seen, _ = exchange("truncate_before")
    assert seen[1][2].startswith(b'{"error"')
    assert not seen[1][2].endswith(b"}}")


def test_bytes_can_dribble_in() -> None:
    seen, _ = exchange("slow_loris=40s")
    pieces = [(at, piece) for at, kind, piece in seen if kind == "http.response.body" and piece]
    assert json.loads(b"".join(piece for _, piece in pieces))["object"] == "interaction"
    assert len(pieces) > 10
    assert pieces[-1][0] == pytest.approx(40)


def test_a_body_can_be_giant() -> None:
    seen, _ = exchange("giant_body")
    pieces = [piece for _, kind, piece in seen if kind == "http.response.body"]
    assert sum(map(len, pieces)) > 256 * 2**20
    assert json.loads(b"".join(piece for piece in pieces if piece.strip()))["object"] == "interaction"


def test_a_small_body_can_be_a_bomb() -> None:
    seen, _ = exchange("gzip_bomb")
    packed = seen[1][2]
    assert (b"content-encoding", b"gzip") in seen[0][2]
    assert len(packed) < 2 * 2**20
    first, size, last = _unpacked(packed)
    assert size > 2**30
    assert json.loads(first + last)["object"] == "interaction"


def _unpacked(packed: bytes) -> tuple[bytes, int, bytes]:
    """The first byte, the size and the last piece. A checksum that is wrong would be an error."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    first = last = unpacker.decompress(packed, 1)
    size = 1
    while not unpacker.eof:
        last = unpacker.decompress(unpacker.unconsumed_tail, 2**23)
        size += len(last)
    return first, size, last


STREAM = {"stream": True, "background": None}


def streamed(plan: str, latency: str = "0s") -> tuple[str, float, str]:
    """The text of a stream, when it ended, and how."""
    seen, _ = exchange(plan, STREAM, latency)
    pieces = [piece for _, kind, piece in seen if kind == "http.response.body" and piece]
    return b"".join(pieces).decode(), seen[-1][0], seen[-1][1]


def test_a_stream_can_be_cut_at_the_time_limit() -> None:
    text, _, end = streamed("sse_cut")
    assert end == "http.response.body"
    assert text.startswith("event: interaction.created")
    assert "interaction.completed" not in text
    assert json.loads(text.splitlines()[-1])[0]["error"]["code"] == 503


def test_a_stream_that_lasts_too_long_is_cut_where_it_is() -> None:
    text, at, _ = streamed("sse_cut=600", latency="1h")
    assert at == pytest.approx(600)
    assert text.count("event: ") == 1
    assert text.endswith("]")


def test_a_stream_can_end_silently() -> None:
    text, _, end = streamed("sse_truncated")
    assert end == "http.response.body"
    assert text.startswith("event: interaction.created")
    assert "interaction.completed" not in text
    assert "[DONE]" not in text


def test_a_stream_can_break_while_the_interaction_goes_on() -> None:
    text, at, end = streamed("drop_during=5s")
    assert (text.count("event: "), at, end) == (1, 5, "RemoteProtocolError")


def test_a_stream_can_break_in_the_middle_of_an_event() -> None:
    text, _, end = streamed("truncate")
    assert end == "RemoteProtocolError"
    assert "[DONE]" not in text


def polls(plan: str, *seconds: float) -> list[httpx.Response]:
    """Polls of one interaction so many seconds after its create."""
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[httpx.Response]:
        name = (await client.post(URL, json=body())).json()["id"]
        answers, start = [], clock.now
        for second in seconds:
            clock.now = start + second
            answers.append(await client.get(f"{URL}/{name}"))
        return answers

    answers: list[httpx.Response] = talk(EmulatorSettings(faults=load_faults(plan), clock=clock), conversation)
    return answers


def test_a_new_interaction_may_be_forbidden_for_a_while() -> None:
    answers = polls("403_after_create=10s", 1, 11)
    assert [answer.status_code for answer in answers] == [403, 200]
    assert answers[0].json()["error"]["status"] == "PERMISSION_DENIED"


def test_a_new_interaction_may_be_forbidden_for_ever() -> None:
    assert [answer.status_code for answer in polls("403_after_create=inf", 1, 10**6)] == [403, 403]


def test_an_interaction_is_gone_when_its_retention_ends() -> None:
    answers = polls("expired=1h", 3599, 3600)
    assert [answer.status_code for answer in answers] == [200, 404]


def test_usage_may_come_after_the_end() -> None:
    early, late = polls("late_usage=5s", 1, 6)
    assert early.json()["status"] == late.json()["status"] == "completed"
    assert "usage" not in early.json()
    assert late.json()["usage"]["total_tokens"] > 0


def test_faults_that_last_outlive_the_emulator(tmp_path: Any) -> None:
    clock = Clock()

    async def begin(client: httpx.AsyncClient, emulator: Emulator) -> str:
        return str((await client.post(URL, json=body())).json()["id"])

    first = EmulatorSettings(faults=load_faults("expired=1h"), clock=clock, state=tmp_path / "state.db")
    name = talk(first, begin)
    clock.now += 3600

    async def go_on(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.get(f"{URL}/{name}")).status_code

    assert talk(EmulatorSettings(clock=clock, state=tmp_path / "state.db"), go_on) == 404


@pytest.mark.parametrize(("kind", "code"), [("429_new", "rate_limit_exceeded"), ("429_daily_new", "quota_exceeded")])
def test_the_new_envelope_tells_the_minute_from_the_day(kind: str, code: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        answers = [await client.post(URL, json=body()) for _ in range(2)]
        return [answers[0].status_code, answers[0].json()["error"]["code"], answers[1].status_code]

    settings = EmulatorSettings(faults=load_faults(f"{kind}:#1"), clock=Clock())
    assert talk(settings, conversation) == [429, code, 429 if "daily" in kind else 200]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset_before", httpx.ReadError),
        ("reset_after", httpx.ReadError),
        ("truncate_before", httpx.RemoteProtocolError),
        ("truncate_head", httpx.RemoteProtocolError),
        ("truncate", httpx.RemoteProtocolError),
    ],
)
def test_a_connection_really_breaks(on_a_socket: httpx.Client, kind: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        on_a_socket.post(URL, json=body(labels={"emulate-fault": kind}))


def test_a_bomb_goes_over_a_socket(on_a_socket: httpx.Client) -> None:
    with on_a_socket.stream("POST", URL, json=body(labels={"emulate-fault": "gzip_bomb"})) as answer:
        assert sum(map(len, answer.iter_raw())) < 2 * 2**20


def test_a_silent_end_of_a_stream_looks_orderly(on_a_socket: httpx.Client) -> None:
    answer = on_a_socket.post(URL, json=body(labels={"emulate-fault": "sse_truncated"}, **STREAM))
    assert answer.status_code == 200
    assert "interaction.completed" not in answer.text


@pytest.fixture(scope="module")
def on_a_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    where = tmp_path_factory.mktemp("served")
    with emulator(where, "--latency", "0s") as url, httpx.Client(base_url=url, headers=KEY) as client:
        yield client
