"""The socket that messages come in by, on the run's own event loop. Strangers may reach it: all that they get is small.

A connection brings one request, of so many bytes, within so many seconds; only so many are open. aiohttp parses it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

from aiohttp import web

from batchrun.errors import SpecError
from batchrun.webhooks.receiver import Receiver

MOST_BYTES = 64 * 1024
MOST_CONNECTIONS = 64
#: Seconds that a connection may take from its first byte to its last.
LONGEST = 10.0
_MOST_HEADERS, _LONGEST_HEADER = 64, 8190
_FORM = "write PORT, HOST:PORT or [ADDRESS]:PORT, and a path if there is to be one: 8080, 0.0.0.0:8080/hook"
#: aiohttp would print what strangers send.
_SILENT = logging.Logger("batchrun.webhooks", logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen. Port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = "/"


def place_of(text: str, uri: str = "") -> Place:
    """A place from `PORT`, `HOST:PORT` and a path, else that of the public `uri`. Raises SpecError."""
    address, slash, path = text.partition("/")
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536
    if not is_port or (":" in bare and bare == host):
        raise SpecError(f"--webhook: {text[:80]!r} is no place to listen at; {_FORM}.")
    return Place(bare or "127.0.0.1", int(port), slash + path if slash else urlsplit(uri).path or "/")


@asynccontextmanager
async def listening(place: Place, receiver: Receiver) -> AsyncIterator[str]:
    """Listen while the block runs; gives the address. Raises SpecError where that cannot be."""
    loop = asyncio.get_running_loop()
    server = web.Server(_Answers(place.path, receiver).answer, loop=loop)
    listener = _bound(place)
    doors = await loop.create_server(lambda: _Connection(server, loop), sock=listener)
    try:
        host, port = listener.getsockname()[:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}{place.path}"
    finally:
        doors.close()
        await server.shutdown(0.5)


def _bound(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((place.host, place.port))
    except OSError as error:
        listener.close()
        said = f"--webhook: cannot listen on {place.host}:{place.port} ({error.strerror or error}); nothing was sent."
        raise SpecError(f"{said} Name another port; 0 is any that is free.") from None
    return listener


class _Answers:
    """Answers requests: a status, and not a word more."""

    def __init__(self, path: str, receiver: Receiver) -> None:
        self._names, self._receiver = _names(path), receiver

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return _closing(await self._status(request))

    async def _status(self, request: web.BaseRequest) -> HTTPStatus:
        if _names(request.rel_url.raw_path) != self._names:
            return HTTPStatus.NOT_FOUND
        if request.method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED
        if (body := await _body(request)) is None:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return await self._receiver.take({name.lower(): value for name, value in request.headers.items()}, body)


def _names(path: str) -> list[bytes]:
    """The names in a path. A proxy may escape them otherwise; an escaped slash is of a name."""
    return [unquote_to_bytes(name) for name in path.split("/")]


def _closing(status: int) -> web.Response:
    """An answer that ends its connection and does not say by which software it is made."""
    response = web.Response(status=status, headers={"server": "batchrun"})
    response.force_close()
    return response


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body, None if it is too large: then the rest is not read."""
    if (request.content_length or 0) > MOST_BYTES:
        return None
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


class _Connection(web.RequestHandler):
    """aiohttp's, cut when it takes too long, and at once where there are too many."""

    __slots__ = ("_end", "_server")

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=LONGEST,
            logger=_SILENT,
            access_log=None,  # type: ignore[arg-type]
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
            lingering_time=0,
            auto_decompress=False,
        )
        self._server = server
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cut = cast(asyncio.Transport, transport).abort
        if len(self._server.connections) > MOST_CONNECTIONS:
            cut()
        else:
            self._end = asyncio.get_running_loop().call_later(LONGEST, cut)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: Any = None, message: Any = None) -> Any:
        """What cannot be parsed is not told why."""
        return _closing(status)
