"""An httpx transport over aiohttp's connection pool: whole bodies, a cap, one deadline, proof of what was sent.

A request with the extension `LIVE` gets its answer as soon as that begins: the body comes while it is read, under the
same cap, and without a deadline, which is its reader's.

httpx's own pool costs several times the CPU with hundreds of requests open. No redirect is followed and no
request is sent twice here: a POST on a connection that breaks fails, because nobody can tell whether it was billed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from traceback import clear_frames
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

#: A server may close an idle connection at any time; a POST must not meet one that it is just about to close.
_KEEPALIVE_SECONDS = 5.0
#: The extension of a request whose answer is read while it comes.
LIVE = "batchrun.live"
#: The extension of a live request that sets another cap, in bytes.
MOST = "batchrun.most"
#: The extension under which the beginning of an answer that broke off is left: an `Arrived`.
ARRIVED = "batchrun.arrived"
#: So much of it, in bytes: an interaction's id is near its beginning.
_MOST_ARRIVED = 64 * 1024


_Content = bytes | AsyncIterable[bytes] | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came of an answer that broke off: its status, and the beginning of its body."""

    status: int
    body: bytes


def leave_arrived(request: httpx.Request, status: int, body: bytes | bytearray) -> None:
    """Tell whoever made `request` what came of its answer before it broke off."""
    request.extensions[ARRIVED] = Arrived(status, bytes(body[:_MOST_ARRIVED]))


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
        """The complete answer to `request`, or its beginning if it is `LIVE`; httpx's exceptions otherwise."""
        if self._session is None:
            self._session = self._open_session()
        live = LIVE in request.extensions
        progress = _Progress()
        seconds = request.extensions.get("timeout", {}).get("total", self._timeout)
        try:
            async with asyncio.timeout(None if live else seconds):
                exchange = self._begin if live else self._exchange
                return await exchange(self._session, request, progress)
        except TimeoutError:
            late = httpx.ReadTimeout if progress.sent else httpx.ConnectTimeout
            failure: httpx.TransportError = late(f"no answer within {seconds:g} s", request=request)
        except (aiohttp.ClientError, OSError) as error:
            broken = httpx.ReadError if progress.sent else httpx.ConnectError
            failure = broken(in_words(error), request=request)
        except BaseException as error:
            _forget_locals(error)
            raise
        raise failure  # here, so that it is not chained to what aiohttp says: that holds the request's headers

    async def _exchange(
        self, session: aiohttp.ClientSession, request: httpx.Request, progress: _Progress
    ) -> httpx.Response:
        async with self._send(session, request, await _content(request), progress) as answer:
            body = bytearray()
            try:
                await self._read(answer, body)
            except BaseException:  # the deadline cancels
                leave_arrived(request, answer.status, body)
                raise
            whole = httpx.ByteStream(bytes(body))
            return httpx.Response(answer.status, headers=list(answer.raw_headers), stream=whole)

    async def _begin(
        self, session: aiohttp.ClientSession, request: httpx.Request, progress: _Progress
    ) -> httpx.Response:
        answer = await self._send(session, request, await _content(request), progress)
        body = _LiveBody(answer, request.extensions.get(MOST, self._cap))
        return httpx.Response(answer.status, headers=list(answer.raw_headers), stream=body)

    def _send(
        self, session: aiohttp.ClientSession, request: httpx.Request, body: _Content, progress: _Progress
    ) -> aiohttp.client._RequestContextManager:
        return session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=body,
            allow_redirects=False,
            proxy=self._proxy_for(request.url),
            trace_request_ctx=progress,
        )

    def _proxy_for(self, url: httpx.URL) -> str | None:
        """The environment's proxy, looked up once a host: aiohttp's own way also reads ~/.netrc, for every request."""
        if url.host not in self._proxies:
            bypassed = proxy_bypass(url.host)
            self._proxies[url.host] = None if bypassed else getproxies().get(url.scheme)
        return self._proxies[url.host]

    async def _read(self, answer: aiohttp.ClientResponse, body: bytearray) -> None:
        """Add the answer's body to `body`, which holds what came also where this fails."""
        _refuse_compressed(answer)
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > self._cap:
                raise _too_long(self._cap)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _content(request: httpx.Request) -> _Content:
    """A whole body as it is, and one in pieces as pieces: joined they would need twice the memory."""
    if isinstance(request.stream, httpx.ByteStream):
        return b"".join(request.stream) or None
    if not isinstance(request.stream, AsyncIterable):
        return await request.aread() or None
    return request.stream


def _forget_locals(error: BaseException | None) -> None:
    """Let the frames that an error came through forget their variables: those of aiohttp hold the request's headers."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class _Progress:
    """Whether the request's head has been handed to the connection."""

    sent = False


async def _note_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx.sent = True


class _LiveBody(httpx.AsyncByteStream):
    """An answer's body, read while it comes. Raises httpx's exceptions, BodyTooLarge beyond the cap."""

    def __init__(self, answer: aiohttp.ClientResponse, cap: int) -> None:
        self._answer = answer
        self._cap = cap

    async def __aiter__(self) -> AsyncIterator[bytes]:
        _refuse_compressed(self._answer)
        size = 0
        try:
            async for chunk in self._answer.content.iter_any():
                size += len(chunk)
                if size > self._cap:
                    raise _too_long(self._cap)
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(in_words(error)) from error

    async def aclose(self) -> None:
        self._answer.close()


def _refuse_compressed(answer: aiohttp.ClientResponse) -> None:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise BodyTooLarge("the answer is compressed, which was not asked for")


def _too_long(cap: int) -> BodyTooLarge:
    return BodyTooLarge(f"the answer is longer than {cap:,} bytes")


def in_words(error: Exception) -> str:
    """An error of aiohttp or the system, as a part of a sentence."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"no address is found for {error.host}"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host} is not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            return f"no secure connection to {error.host}: {error.os_error}"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port}: {_why(error.os_error)}"
        case aiohttp.ConnectionTimeoutError():
            return "no connection within 30 seconds"
        case aiohttp.ServerTimeoutError():
            return "no byte came for too long"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before the answer came"
        case aiohttp.ClientPayloadError():
            return f"the answer broke off: {error}"
        case OSError():
            return f"the connection broke: {_why(error)}"
    return f"the connection broke ({type(error).__name__}: {error})"


def _why(error: OSError) -> str:
    """The system's words. Where several addresses were tried, there is only a text that lists all."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error) or type(error).__name__
