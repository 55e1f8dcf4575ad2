"""What comes of an answer before it breaks off is handed over: it may name an interaction that is paid for."""

from __future__ import annotations

import asyncio

import pytest

from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Lost

KEY = "canary-key-0123456789-abcdefghijklmnopqrs"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
PART = b'{"id":"v1_abc","status":"in_pro'


def created(sent: bytes, *, stall: bool = False, timeout: float = 5.0, cap: int = 1 << 20) -> Call:
    """A create on a real socket whose server says `sent`, and then hangs up or says no more."""

    async def main() -> Call:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
            if stall:
                await reader.read()  # until the client has enough of it
            writer.close()
            await writer.wait_closed()
            done.set()

        done = asyncio.Event()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(KEY, base_url=f"http://127.0.0.1:{port}", total_timeout=timeout, max_body_bytes=cap)
        try:
            return await client.create(b"{}")
        finally:
            await client.aclose()
            await done.wait()
            server.close()

    return asyncio.run(main())


def test_a_connection_that_breaks_within_the_answer_leaves_what_came() -> None:
    call = created(HEAD + b"content-length: 500\r\n\r\n" + PART)
    assert isinstance(call, Lost)
    assert (call.status, call.body, call.answered) == (200, PART, False)


def test_a_deadline_within_the_answer_leaves_what_came() -> None:
    call = created(HEAD + b"content-length: 500\r\n\r\n" + PART, stall=True, timeout=0.5)
    assert isinstance(call, Lost)
    assert (call.status, call.body) == (200, PART)


def test_an_answer_over_the_cap_leaves_its_beginning_and_not_more_than_64_kib() -> None:
    call = created(HEAD + b"content-length: 400000\r\n\r\n" + PART + b" " * (400_000 - len(PART)), cap=200_000)
    assert isinstance(call, Lost)
    assert call.answered
    assert call.body.startswith(PART)
    assert len(call.body) <= 64 * 1024


@pytest.mark.parametrize("quoted", [KEY, KEY[:-1], KEY[:10]], ids=["whole", "all but one character", "a beginning"])
def test_a_key_that_is_quoted_in_it_is_not_kept_not_even_in_part(quoted: str) -> None:
    call = created(HEAD + b"content-length: 500\r\n\r\n" + PART + quoted.encode())
    assert isinstance(call, Lost)
    assert call.body == PART + b"[the API key]"


def test_a_connection_that_breaks_before_any_answer_leaves_nothing() -> None:
    call = created(b"")
    assert isinstance(call, Lost)
    assert (call.status, call.body) == (None, b"")
