"""What comes in: proved, in time, heard once. And the socket that it comes in by, on which strangers get nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from batchrun.errors import SpecError
from batchrun.webhooks import listener
from batchrun.webhooks.listener import MOST_BYTES, MOST_CONNECTIONS, Place, listening, place_of
from batchrun.webhooks.message import Event
from batchrun.webhooks.receiver import Receiver
from batchrun.webhooks.tokens import Keys
from tests.webhooks.test_signatures import GOOD, JWKS, KEY, NEW, NOW, OLD, URI, secrets, token

DONE = {"type": "interaction.completed", "version": "v1", "timestamp": "2026-11-22T13:00:00Z", "data": {"id": "v1_a"}}
INTENT = "br1-" + "0" * 32


class World:
    """A receiver with a clock of its own that notes what it heard."""

    def __init__(self, *texts: str, jwks: bytes | None = JWKS) -> None:
        async def fetch() -> bytes | None:
            return jwks

        self.now: float = NOW
        self.heard: list[Event] = []
        self.receiver = Receiver(secrets(*texts), Keys(fetch), URI, lambda: self.now, self.heard.append)

    async def take(self, said: Any = DONE, name: str = "msg_1", at: int = NOW, by: str = OLD, **changed: str) -> int:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return await self.receiver.take(headers(body, name, at, by, **changed), body)


def headers(body: bytes, name: str = "msg_1", at: int = NOW, by: str = OLD, **changed: str) -> dict[str, str]:
    """What a message by Standard Webhooks carries; `changed` with _ for - are put in the place of these."""
    signature = secrets(by).sign(name, at, body)
    given = {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signature}
    return given | {key.replace("_", "-"): value for key, value in changed.items()}


def story(main: Callable[[World], Awaitable[Any]], *texts: str) -> World:
    world = World(*(texts or (OLD,)))
    asyncio.run(main(world))  # type: ignore[arg-type]
    return world


def test_an_event_is_heard_once_however_often_it_comes() -> None:
    async def main(world: World) -> None:
        assert [await world.take() for _ in range(5)] == [200] * 5
        assert await world.take(name="msg_2") == 200

    world = story(main)
    assert world.heard == [Event("v1_a"), Event("v1_a")]
    assert (world.receiver.tally.events, world.receiver.tally.repeated) == (2, 4)


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_an_old_message_or_one_from_the_future_is_refused(seconds: int) -> None:
    async def main(world: World) -> None:
        assert await world.take() == 200
        world.now += seconds
        assert await world.take(name="msg_2") == 401
        assert await world.take() == 401

    assert len(story(main).heard) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_signature": ""},
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": "v1,\udcff"},
        {"webhook_signature": "\udcff"},
        {"webhook_id": ""},
        {"webhook_id": "msg 1"},
        {"webhook_id": "m" * 257},
        {"webhook_id": "msg_9"},
        {"webhook_timestamp": str(NOW + 1)},
        {"webhook_timestamp": "now"},
        {"webhook_timestamp": "٣"},
        {"webhook_timestamp": "1" * 400},
        {"webhook_timestamp": f"{NOW}.0"},
    ],
)
def test_a_message_that_is_not_proved_is_refused(changed: dict[str, str]) -> None:
    async def main(world: World) -> None:
        assert await world.take(**changed) == 401

    world = story(main)
    assert world.heard == []
    assert world.receiver.tally.refused == 1


def test_a_secret_that_was_rotated_away_is_good_for_nothing() -> None:
    async def main(world: World) -> None:
        assert await world.take(by=OLD) == 401
        assert await world.take(by=NEW) == 200

    assert len(story(main, NEW).heard) == 1


def test_an_event_names_the_post_that_it_is_about() -> None:
    async def main(world: World) -> None:
        for n, metadata in enumerate([{"batchrun-intent": INTENT}, {"batchrun-intent": "x"}, {}, [], None, 7]):
            said = {**DONE, "data": {"id": f"v1_{n}", "user_metadata": metadata}}
            assert await world.take(said, f"msg_{n}") == 200

    assert [event.intent_key for event in story(main).heard] == [INTENT, *[""] * 5]


@pytest.mark.parametrize(
    "said",
    [
        {**DONE, "type": "video.generated"},
        {**DONE, "type": "webhook.ping"},
        {**DONE, "type": 7},
        {**DONE, "data": None},
        {**DONE, "data": {"id": "../x"}},
        {**DONE, "data": {"id": "v" * 300}},
        {**DONE, "data": {"id": ["v1_a"]}},
        [DONE],
        b"",
        b"\xff\x00",
        b"[" * 60_000,
    ],
)
def test_what_is_signed_but_tells_nothing_is_taken_and_has_no_effect(said: Any) -> None:
    async def main(world: World) -> None:
        assert await world.take(said) == 200

    assert story(main).heard == []


def test_a_message_with_a_token_is_heard_and_one_without_keys_to_check_it_is_asked_for_again() -> None:
    async def main(world: World) -> None:
        assert await world.take(b"{}", webhook_signature=GOOD) == 200
        assert await world.take(b"{} ", webhook_signature=GOOD) == 401
        body = json.dumps({**DONE, "data": {"id": "v1_b"}}).encode()
        assert await world.take(body, "m", webhook_signature=token(KEY, URI, "m", NOW, body)) == 200
        assert await world.take(body, "again", webhook_signature=token(KEY, URI, "m", NOW, body)) == 200
        assert world.heard == [Event("v1_b")]
        dark = World(OLD, jwks=None)
        assert await dark.take(b"{}", webhook_signature=GOOD) == 503

    story(main)


# -- the socket ------------------------------------------------------------------------------------------------------


def served(main: Callable[[World, str, aiohttp.ClientSession], Awaitable[Any]], path: str = "/hook") -> World:
    """A story with a receiver behind a real socket, and a client."""

    async def told(world: World) -> None:
        async with listening(Place(path=path), world.receiver) as url, aiohttp.ClientSession() as client:
            await main(world, url, client)

    return story(told)


async def post(client: aiohttp.ClientSession, url: str, body: bytes, **changed: str) -> tuple[int, bytes]:
    async with client.post(url, data=body, headers=headers(body, **changed)) as answer:
        return answer.status, await answer.read()


def test_over_a_socket_a_message_is_heard_and_nothing_is_said() -> None:
    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        assert await post(client, url, json.dumps(DONE).encode()) == (200, b"")
        assert await post(client, url, b"{}", webhook_id="forged") == (401, b"")

    assert served(main).heard == [Event("v1_a")]


def test_another_path_or_method_is_refused_without_a_look() -> None:
    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        body = json.dumps(DONE).encode()
        assert await post(client, url + "/more", body) == (404, b"")
        assert await post(client, url.removesuffix("hook"), body) == (404, b"")
        for method, status in {"GET": 405, "PUT": 405, "DELETE": 405, "PATCH": 405}.items():
            async with client.request(method, url, data=body, headers=headers(body)) as answer:
                assert (answer.status, await answer.read()) == (status, b"")

    assert served(main).heard == []


@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        ("/a%20b", "/a%20b", 200),
        ("/a%20b?x=%2F", "/a%20b", 200),
        ("/%c3%a9/%7e", "/%C3%A9/~", 200),
        ("/é b", "/%C3%A9%20b", 200),
        ("/a%2Fb", "/a%2fb", 200),
        ("/a%2Fb", "/a/b", 404),
        ("/a%2520b", "/a%20b", 404),
        ("/a+b", "/a%20b", 404),
    ],
)
def test_a_path_with_escapes_is_known_however_it_is_escaped(ours: str, theirs: str, status: int) -> None:
    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        body = json.dumps(DONE).encode()
        said = {"host": "x", "content-length": str(len(body)), **headers(body)}
        lines = [f"POST {theirs} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        answer = await exchange(url, "\r\n".join(lines).encode(), body)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    served(main, place_of("0", f"https://me.example{ours}").path)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(chunked: bool) -> None:
    async def pieces() -> Any:
        for _ in range(100):
            yield b" " * 4096

    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        body = b" " * (MOST_BYTES + 1)
        data: Any = pieces() if chunked else body
        async with client.post(url, data=data, headers=headers(body)) as answer:
            assert (answer.status, await answer.read()) == (413, b"")
        assert (await post(client, url, b" " * MOST_BYTES))[0] == 200

    assert served(main).heard == []


@pytest.mark.parametrize(
    "head",
    [
        b"POST /hook HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 9000 + b"\r\n\r\n",
        b"POST /hook HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(100)) + b"\r\n",
        b"POST /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01 hello\r\n\r\n",
        b"POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    ],
)
def test_a_head_that_is_too_large_or_no_head_is_refused_and_not_told_why(head: bytes) -> None:
    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        said = await exchange(url, head)
        assert said.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        assert b"aiohttp" not in said
        assert said.endswith(b"\r\n\r\n")

    served(main)


async def exchange(url: str, *parts: bytes) -> bytes:
    """Send raw bytes; what came until the other side closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0]))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /ho",
        b"POST /hook HTTP/1.1\r\nhost: x\r\n",
        b"POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc",
    ],
)
def test_who_is_slow_is_cut_off(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LONGEST", 0.2)

    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(5):
            assert await exchange(url, begun) == b""

    served(main)


def test_strangers_cannot_keep_the_service_out_by_more_connections_than_there_is_room_for() -> None:
    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        port = int(url.split(":")[2].split("/")[0])
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        assert await exchange(url, b"POST /hook HTTP/1.1\r\n\r\n") == b""
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert (await post(client, url, json.dumps(DONE).encode()))[0] == 200

    assert len(served(main).heard) == 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8080", Place("127.0.0.1", 8080, "/")),
        ("0.0.0.0:8080", Place("0.0.0.0", 8080, "/")),
        ("[::1]:0/in", Place("::1", 0, "/in")),
        ("localhost:1/a/b", Place("localhost", 1, "/a/b")),
    ],
)
def test_a_place_to_listen_at(text: str, place: Place) -> None:
    assert place_of(text) == place


def test_the_path_is_that_of_the_public_address_where_none_is_named() -> None:
    assert place_of("80", "https://me.example/hook").path == "/hook"
    assert place_of("80/x", "https://me.example/hook").path == "/x"


@pytest.mark.parametrize("text", ["", "here", "host:", "70000", "::1:80", "1.2.3.4", "-1", "٣", "9" * 5000])
def test_what_is_no_place_is_said_so(text: str) -> None:
    with pytest.raises(SpecError, match="no place to listen at"):
        place_of(text)


def test_a_port_that_is_taken_is_said_so() -> None:
    async def main(world: World, url: str, client: aiohttp.ClientSession) -> None:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(SpecError, match="cannot listen on 127"):
            async with listening(Place(port=port), world.receiver):
                pass

    served(main)
