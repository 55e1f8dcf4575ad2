"""Files from the service, written while they come: bounded, hashed, durable. Redirects are followed without the key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import httpx

from batchrun.errors import StoreError
from batchrun.interactions.addresses import led_to
from batchrun.interactions.evidence import Call, Lost, Reply

MOST_BYTES = 2_000_000_000
"""Bytes in one file, unless told otherwise."""
_MOST_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Seconds without a byte, and for a whole file.
_SILENCE = 60.0
_LONGEST = 3600.0
#: Bytes that are written at a time, and that are read of an answer that is not the file.
_CHUNK = 1 << 20

#: GET an address, with the key or without it; gives the head of the answer.
Get = Callable[[str, bool], Awaitable[httpx.Response]]
Pieces = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Saved(Reply):
    """The file is on the disk: `size` in bytes, `sha256` in hex. The body is empty."""

    size: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class TooLong(Lost):
    """The file is longer than was allowed."""


class _Overlong(Exception):
    """More bytes came than were allowed."""


async def save(
    get: Get, url: str, path: Path, most: int, own: Callable[[str], bool], clean: Callable[[Pieces], Pieces]
) -> Call:
    """Write what is at `url` to `path` (mode 0600), which is whole and durable or not there.

    `own` tells the addresses that may have the key; once an answer has led elsewhere, none gets it. What comes goes
    through `clean`. Raises StoreError where the disk refuses, and what `get` raises.
    """
    try:
        async with asyncio.timeout(_LONGEST):
            response = await _found(get, url, own)
            if isinstance(response, Lost):
                return response
            try:
                return await _taken(response, clean(_in_time(response)), path, most)
            finally:
                await response.aclose()
    except TimeoutError:
        return Lost(f"no byte came for {_SILENCE:g} s, or not the whole file within {_LONGEST:g} s")


async def _found(get: Get, url: str, own: Callable[[str], bool]) -> httpx.Response | Lost:
    """The answer at the end of the redirects."""
    there, keyed = url, True
    for _ in range(_MOST_HOPS + 1):
        async with asyncio.timeout(_SILENCE):
            response = await get(there, keyed)
        if response.status_code not in _REDIRECTS:
            return response
        await response.aclose()
        location = response.headers.get("location", "")
        following = led_to(there, location, url)
        if following is None:
            return Lost(f"the service leads to {location[:200]!r}, from where nothing is fetched", answered=True)
        there, keyed = following, keyed and own(following)
    return Lost(f"{url[:200]!r} redirects more than {_MOST_HOPS} times", answered=True)


async def _taken(response: httpx.Response, pieces: Pieces, path: Path, most: int) -> Call:
    status, headers = response.status_code, response.headers
    if not 200 <= status < 300:
        said = await anext(_joined(pieces), b"")
        return Reply(status, said, headers)
    try:
        return Saved(status, b"", headers, *await _written(pieces, path, most))
    except _Overlong:
        return TooLong(f"the answer is longer than {most:,} bytes", answered=True)


async def _written(pieces: Pieces, path: Path, most: int) -> tuple[int, str]:
    """Size and hash of the file. Raises _Overlong."""
    digest, size = sha256(), 0
    with _new(path) as file:
        async for piece in _joined(pieces):
            size += len(piece)
            if size > most:
                raise _Overlong
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    return size, digest.hexdigest()


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A new file, or one emptied; it is gone after an exception. Raises StoreError where the disk refuses."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(path, flags, 0o600), "wb") as file:
            try:
                yield file
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except TimeoutError:  # the service's; it counts as an OSError
        raise
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror}. Run the same command again.") from error


async def _in_time(response: httpx.Response) -> Pieces:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    pieces = aiter(response.stream)
    while True:
        async with asyncio.timeout(_SILENCE):
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece


async def _joined(pieces: Pieces) -> Pieces:
    """The same bytes in pieces that are worth a write."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) >= _CHUNK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def without(secret: bytes, instead: bytes, pieces: Pieces) -> Pieces:
    """The bytes with a secret replaced, also where it lies across pieces."""
    held, kept = b"", len(secret) - 1
    async for piece in pieces:
        held = (held + piece).replace(secret, instead)
        yield held[:-kept]
        held = held[-kept:]
    yield held
