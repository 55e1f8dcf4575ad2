"""An httpx transport without a socket, for an ASGI application in this process.

httpx's own gives an answer when all of it is there; a `LIVE` request gets the parts of the body as the application
sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import httpx

from batchrun.interactions.transport import LIVE, leave_arrived

Message = MutableMapping[str, Any]
#: As long as a client waits for an answer over a socket.
_TOTAL_SECONDS = 120.0


class InProcess(httpx.ASGITransport):
    """Calls an application directly and ends it with `close`."""

    def __init__(self, app: Any, close: Callable[[], None]) -> None:
        super().__init__(app=app)
        self._close = close

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if LIVE in request.extensions:
            return await _LiveCall(self.app, request, await request.aread()).begin()
        seconds = request.extensions.get("timeout", {}).get("total", _TOTAL_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                return await self._whole(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {seconds:g} s", request=request) from error

    async def _whole(self, request: httpx.Request) -> httpx.Response:
        heard = _Heard(self.app)
        try:
            return await httpx.ASGITransport(app=heard).handle_async_request(request)
        except httpx.HTTPError:
            if heard.status is not None:
                leave_arrived(request, heard.status, heard.body)
            raise

    async def aclose(self) -> None:
        self._close()


class _Heard:
    """An application that remembers what it has said of one answer."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.status: int | None = None
        self.body = b""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        async def note(message: Message) -> None:
            self.status = message.get("status", self.status)
            self.body = self.body or message.get("body", b"")  # the beginning: only of a cut answer anybody asks
            await send(message)

        await self._app(scope, receive, note)


class _LiveCall(httpx.AsyncByteStream):
    """One call of an application, which runs beside its reader. What it raises, its reader raises."""

    def __init__(self, app: Any, request: httpx.Request, body: bytes) -> None:
        self._asked: list[Message] = [{"type": "http.request", "body": body}]
        self._said: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(app, _scope(request)))

    async def begin(self) -> httpx.Response:
        """The head of the answer."""
        try:
            message = await self._said.get()
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if message is None:
            await self._task
            raise httpx.RemoteProtocolError("the application ended without an answer")
        return httpx.Response(message["status"], headers=message["headers"], stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._said.get()) is not None:
            yield message.get("body", b"")
        await self._task

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # told to the reader already, if it read on

    async def _run(self, app: Any, scope: Message) -> None:
        try:
            await app(scope, self._receive, self._said.put)
        finally:
            self._said.put_nowait(None)

    async def _receive(self) -> Message:
        if self._asked:
            return self._asked.pop()
        await asyncio.Event().wait()  # until `aclose`: the client stays
        raise AssertionError


def _scope(request: httpx.Request) -> Message:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "root_path": "",
    }
