"""Files from the service on real sockets: to disk while they come, and the key to nobody else."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.interactions.addresses import led_to
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Lost, Reply
from batchrun.interactions.saving import Saved, TooLong, without
from tests.virtual_time import VirtualTime

KEY = "a-secret-key"
MIB = 1 << 20


class Site:
    """A server on a socket of its own. It answers each path by `pages` and remembers the heads of all requests."""

    def __init__(self) -> None:
        self.pages: dict[str, list[bytes]] = {}
        self.heads: list[str] = []
        self.url = ""

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        for piece in self.pages[head.split()[1]]:
            writer.write(piece)
            await writer.drain()
        writer.close()

    def leads(self, path: str, location: str, status: int = 302) -> None:
        self.pages[path] = [f"HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()]

    def has(self, path: str, *pieces: bytes, length: int | None = None, status: int = 200) -> None:
        length = sum(map(len, pieces)) if length is None else length
        self.pages[path] = [f"HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n".encode(), *pieces]

    @property
    def keyed(self) -> list[bool]:
        return [KEY in head for head in self.heads]


def fetched(path: Path, prepare: Callable[[Site, Site], None], most: int = 100 * MIB) -> tuple[Call, Site, Site]:
    """What comes of `/file` at the first of two sites, which is the service."""
    here, there = Site(), Site()

    async def run() -> Call:
        async with AsyncExitStack() as stack:
            for site in (here, there):
                await stack.enter_async_context(await site.open())
            prepare(here, there)
            client = Client(KEY, base_url=here.url)
            try:
                return await client.download(f"{here.url}/file", path, most)
            finally:
                await client.aclose()

    return asyncio.run(run()), here, there


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_followed_without_the_key(tmp_path: Path, status: int) -> None:
    def prepare(here: Site, there: Site) -> None:
        here.leads("/file", f"{there.url}/signed?x=1", status)
        there.has("/signed?x=1", b"the ", b"file")

    call, here, there = fetched(tmp_path / "f", prepare)
    assert isinstance(call, Saved)
    assert (call.size, call.sha256) == (8, sha256(b"the file").hexdigest())
    assert (tmp_path / "f").read_bytes() == b"the file"
    assert (here.keyed, there.keyed) == ([True], [False])
    assert "goog" not in there.heads[0]


def test_a_redirect_within_the_service_keeps_the_key_and_one_that_comes_back_does_not(tmp_path: Path) -> None:
    def prepare(here: Site, there: Site) -> None:
        here.leads("/file", "/second")
        here.leads("/second", f"{there.url}/away")
        there.leads("/away", f"{here.url}/private")
        here.has("/private", b"x")

    call, here, there = fetched(tmp_path / "f", prepare)
    assert isinstance(call, Saved)
    assert (here.keyed, there.keyed) == ([True, True, False], [False])


def test_a_redirect_that_goes_round_is_left(tmp_path: Path) -> None:
    call, here, _ = fetched(tmp_path / "f", lambda here, _: here.leads("/file", "/file"))
    assert isinstance(call, Lost)
    assert "more than 5 times" in call.reason
    assert len(here.heads) == 6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "http://service.example/x", "file:///etc/passwd", "", "http://["]
)
def test_a_redirect_off_the_safe_ways_is_an_answer_and_nothing_is_asked(tmp_path: Path, location: str) -> None:
    call, here, there = fetched(tmp_path / "f", lambda here, _: here.leads("/file", location))
    assert isinstance(call, Lost)
    assert "nothing is fetched" in call.reason
    assert (len(here.heads), len(there.heads)) == (1, 0)


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("https://storage.example/x", "https://storage.example/x"),
        ("/x", "https://service.example/x"),
        ("x?y", "https://service.example/a/x?y"),
        ("//storage.example/x", "https://storage.example/x"),
        ("http://service.example/x", None),
        ("https://user@storage.example/x", None),
        ("https://storage.example\\@evil.example/x", None),
        ("https://localhost/x", None),
        ("http://127.0.0.1:8080/x", None),
        ("https:///x", "https://service.example/x"),
        ("https://storage.example/a b", None),
    ],
)
def test_the_service_leads_to_https_alone_and_never_to_this_machine(location: str, leads: str | None) -> None:
    first = "https://service.example/a/file"
    assert led_to(first, location, first) == leads


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    piece = bytes(range(256)) * 4096
    tracemalloc.start()
    try:
        call, _, _ = fetched(tmp_path / "f", lambda here, _: here.has("/file", *[piece] * 48))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(call, Saved)
    assert (call.size, (tmp_path / "f").stat().st_size) == (48 * MIB, 48 * MIB)
    assert call.sha256 == sha256(piece * 48).hexdigest()
    assert peak < 16 * MIB


def test_a_file_beyond_the_bound_is_left_and_nothing_of_it_stays(tmp_path: Path) -> None:
    call, _, _ = fetched(tmp_path / "f", lambda here, _: here.has("/file", b"x" * 11), most=10)
    assert isinstance(call, Lost)
    assert call.answered
    assert list(tmp_path.iterdir()) == []
    call, _, _ = fetched(tmp_path / "f", lambda here, _: here.has("/file", b"x" * 10), most=10)
    assert isinstance(call, Saved)


def test_a_file_that_breaks_off_is_no_file(tmp_path: Path) -> None:
    call, _, _ = fetched(tmp_path / "f", lambda here, _: here.has("/file", b"x" * 3 * MIB, length=4 * MIB))
    assert isinstance(call, Lost)
    assert not isinstance(call, TooLong)
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_in_no_file_nor_message_whatever_the_service_quotes(tmp_path: Path) -> None:
    quoted = f"<{KEY}>".encode()

    def prepare(here: Site, _: Site) -> None:
        here.has("/file", b"a", quoted[:5], quoted[5:])

    call, _, _ = fetched(tmp_path / "f", prepare)
    assert isinstance(call, Saved)
    assert (tmp_path / "f").read_bytes() == b"a<[the API key]>"
    call, _, _ = fetched(tmp_path / "g", lambda here, _: here.has("/file", quoted, status=403))
    assert isinstance(call, Reply)
    assert (call.status, call.body) == (403, b"<[the API key]>")


def test_a_secret_is_found_across_any_pieces() -> None:
    text = b"secretsecsecret secre"

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for at in range(0, len(text), size):
            yield text[at : at + size]

    async def cleaned(size: int) -> bytes:
        return b"".join([piece async for piece in without(b"secret", b"*", pieces(size))])

    assert {asyncio.run(cleaned(size)) for size in range(1, 22)} == {b"*sec* secre"}


class Silent(httpx.AsyncBaseTransport):
    """A service that begins to answer and then says nothing more."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Silence())


class _Silence(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x" * 2 * MIB
        await asyncio.get_running_loop().create_future()


def test_a_service_that_falls_silent_is_left(tmp_path: Path) -> None:
    clock, client = VirtualTime(), Client(KEY, base_url="https://service.example", transport=Silent())
    call: Any = clock.run(client.download("https://service.example/file", tmp_path / "f"))
    assert isinstance(call, Lost)
    assert not call.answered
    assert clock.now == 60
    assert list(tmp_path.iterdir()) == []
