"""An httpx transport over aiohttp's connection pool: whole bodies, a cap, one deadline, proof of what was sent.

httpx's own pool costs several times the CPU with hundreds of requests open. No redirect is followed and no
request is sent twice here: a POST on a connection that breaks fails, because nobody can tell whether it was billed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

#: A server may close an idle connection at any time; a POST must not meet one that it is just about to close.
_KEEPALIVE_SECONDS = 5.0


class BodyTooLarge(httpx.DecodingError):
    """The answer is longer than the cap, or compressed although `identity` was asked for."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends each request once. Raises ConnectError or ConnectTimeout only if no byte of the request was sent."""

    def __init__(self, *, total_timeout: float, max_body_bytes: int, max_connections: int = 0) -> None:
        self._timeout = total_timeout
        self._cap = max_body_bytes
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    def _open_session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=_KEEPALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The complete answer to `request`; httpx's exceptions otherwise."""
        if self._session is None:
            self._session = self._open_session()
        progress = _Progress()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(self._session, request, progress)
        except TimeoutError as error:
            late = httpx.ReadTimeout if progress.sent else httpx.ConnectTimeout
            raise late(f"no answer within {self._timeout:g} s", request=request) from error
        except (aiohttp.ClientError, OSError) as error:
            broken = httpx.ReadError if progress.sent else httpx.ConnectError
            raise broken(f"{type(error).__name__}: {error}", request=request) from error

    async def _exchange(
        self, session: aiohttp.ClientSession, request: httpx.Request, progress: _Progress
    ) -> httpx.Response:
        async with session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=await _content(request),
            allow_redirects=False,
            proxy=self._proxy_for(request.url),
            trace_request_ctx=progress,
        ) as answer:
            body = await self._read(answer)
            return httpx.Response(answer.status, headers=list(answer.raw_headers), stream=httpx.ByteStream(body))

    def _proxy_for(self, url: httpx.URL) -> str | None:
        """The environment's proxy, looked up once a host: aiohttp's own way also reads ~/.netrc, for every request."""
        if url.host not in self._proxies:
            bypassed = proxy_bypass(url.host)
            self._proxies[url.host] = None if bypassed else getproxies().get(url.scheme)
        return self._proxies[url.host]

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise BodyTooLarge("the answer is compressed, which was not asked for")
        chunks = bytearray()
        async for chunk in answer.content.iter_any():
            chunks += chunk
            if len(chunks) > self._cap:
                raise BodyTooLarge(f"the answer is longer than {self._cap:,} bytes")
        return bytes(chunks)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _content(request: httpx.Request) -> bytes | AsyncIterable[bytes] | None:
    """A whole body as it is, and one in pieces as pieces: joined they would need twice the memory."""
    if isinstance(request.stream, httpx.ByteStream) or not isinstance(request.stream, AsyncIterable):
        return await request.aread() or None
    return request.stream


class _Progress:
    """Whether the request's head has been handed to the connection."""

    sent = False


async def _note_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx.sent = True


class _InProcess(httpx.ASGITransport):
    """Calls an ASGI application directly and closes it in the end."""

    def __init__(self, app: Any, close: Callable[[], None]) -> None:
        super().__init__(app=app)
        self._close = close

    async def aclose(self) -> None:
        self._close()


def in_process(app: Any, close: Callable[[], None]) -> httpx.AsyncBaseTransport:
    """A transport without a socket, for an ASGI application in this process."""
    return _InProcess(app, close)
