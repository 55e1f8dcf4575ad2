"""A TCP proxy that spoils the exchanges of HTTP which go through it; what it does to one is told by `ways.py`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal

_RESET = struct.pack("ii", 1, 0)
_MOST = 2**20
_AT_THE_LATEST = 4
#: So many bytes tell what is asked for: `POST /v`.
_FIRST = 7

On = Literal["connection", "POST", "GET", "reused", "any"]


@dataclass
class Line:
    """A client's connection, and the exchange that is under way on it. `random` decides the details.

    `forward` gives a request to the service, and gives what that answers, as far as it does.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    random: Random
    forward: Callable[[bytes], Awaitable[bytes]]
    earlier: list[bytes]
    begun: bytes = b""
    exchanges: int = 0
    request: bytes = b""
    answers: list[bytes] = field(default_factory=list)

    async def head(self) -> bytes:
        """The request as far as its head goes."""
        self.begun += await self.reader.readuntil(b"\r\n\r\n")
        return self.begun

    async def asked(self) -> bytes:
        """The whole request."""
        if not self.request:
            head = await self.head()
            self.request = head + await self.reader.readexactly(_length(head))
        return self.request

    async def answer(self) -> bytes:
        """What the service says to the request."""
        found = await self.forward(await self.asked())
        self.answers.append(found)
        return found

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def silence(self) -> None:
        """Say nothing until the client hangs up."""
        while await self.reader.read(_MOST):
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


Way = Callable[[Line], Awaitable[None]]


async def pass_on(line: Line) -> None:
    """What happens where nothing goes wrong; where the service breaks the line, so does this."""
    answer = await line.answer()
    await line.say(answer)
    if not whole(answer):
        line.close()


class Proxy:
    """Listens on `port`, which is its own until it is closed, and passes on to the service at the port `to`.

    `way` strikes exchanges of the kind `on` with a chance of `rate`, `most` times in all, and is counted in `struck`;
    it strikes the fourth at the latest.
    No connection is accepted in the first `deaf` seconds.
    """

    def __init__(self, way: Way | None, on: On, random: Random, *, rate: float, most: int, deaf: float = 0.0) -> None:
        self._way, self._on, self._random, self._rate, self._most, self._deaf = way, on, random, rate, most, deaf
        self.struck = 0
        self._passed = 0
        self._to = 0
        self._first_answers: list[bytes] = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @asynccontextmanager
    async def passing(self, to: int) -> AsyncIterator[None]:
        """Work while the block lasts."""
        self._to = to
        listening = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    def close(self) -> None:
        self._listener.close()

    async def _listen(self) -> None:
        deaf, self._deaf = self._deaf, 0.0
        await asyncio.sleep(deaf)
        self._listener.listen()
        connections = set[asyncio.Task[None]]()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(connected, sock=self._listener.dup(), limit=_MOST)
        try:
            await server.serve_forever()
        finally:
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            await asyncio.sleep(0)  # transports close in the loop's next step

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer, self._random, self._forward, self._first_answers)
        try:
            await self._exchanges(line)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the other side is gone
        finally:
            writer.close()

    async def _exchanges(self, line: Line) -> None:
        if (way := self._strikes("connection")) is not None:
            await way(line)
        while not line.writer.is_closing():
            line.begun, line.request = await line.reader.readexactly(_FIRST), b""
            method = line.begun.split(b" ")[0].decode("latin-1")
            way = self._strikes(method) or (self._strikes("reused") if line.exchanges else None)
            line.exchanges += 1
            await (way or pass_on)(line)

    def _strikes(self, on: str) -> Way | None:
        if self._on not in (on, "any") or self._way is None or self.struck >= self._most:
            return None
        self._passed += 1
        if self._random.random() >= self._rate and (self.struck or self._passed < _AT_THE_LATEST):
            return None
        self.struck += 1
        return self._way

    async def _forward(self, request: bytes) -> bytes:
        """A connection for each request: the service's own faults break it, and no other's."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._to, limit=_MOST)
        found = b""
        try:
            writer.write(request)
            if not whole(request):
                return b""
            found = await reader.readuntil(b"\r\n\r\n")
            return found + await reader.readexactly(_length(found))
        except asyncio.IncompleteReadError as error:
            return found + error.partial
        except ConnectionError:
            return found
        finally:
            writer.close()


def whole(answer: bytes) -> bool:
    """Whether nothing of a request or an answer is missing."""
    head, end, body = answer.partition(b"\r\n\r\n")
    return bool(end) and len(body) == _length(head)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
