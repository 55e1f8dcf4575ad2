"""Connections that send prepared bytes and read just enough of the answers: POST, then GET of what it made."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import uvloop

from benchmarks.emulator import request_bytes

CONNECTIONS = 64


async def main(url: str, rows: int) -> None:
    numbers = iter(range(rows))
    await asyncio.gather(*(connection(url, numbers) for _ in range(CONNECTIONS)))


async def connection(url: str, numbers: Iterator[int]) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for number in numbers:
        body = request_bytes(number)
        made = await ask(reader, writer, b"POST /v1beta/interactions", body)
        name = made.split(b'"id":"', 1)[1].split(b'"', 1)[0]
        got = await ask(reader, writer, b"GET /v1beta/interactions/" + name, b"")
        assert b'"status":"completed"' in got, got
    writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes, body: bytes) -> bytes:
    """The body of the answer."""
    head = b"%s HTTP/1.1\r\nhost: emulator\r\nx-goog-api-key: k\r\ncontent-type: application/json\r\n" % line
    writer.write(b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return await reader.readexactly(int(answer.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
