"""The four calls a run makes. Each is one HTTP request: no retry, no redirect, no opinion about money.

Wire facts: Api-Revision 2026-05-20; header `x-goog-api-key`; create answers 200 with a JSON interaction.
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from batchrun.interactions.evidence import Call, Lost, NotSent, Reply
from batchrun.interactions.transport import LIVE, AiohttpTransport, BodyTooLarge

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
API_REVISION = "2026-05-20"
#: A shorter key is a placeholder for a server on this machine.
_SHORTEST_SECRET = 8
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
#: What a call can raise; `fate_of` says what each proves.
BROKEN = (httpx.HTTPError, httpx.InvalidURL)


class Client:
    """Talks to one service with one key. Close it with `aclose`."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        version: str = "v1beta",
        transport: httpx.AsyncBaseTransport | None = None,
        total_timeout: float = 120.0,
        max_body_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/{version}/interactions"
        self._key = api_key.encode()
        self._create_url = httpx.URL(self._url)  # parsed once: with its headers that is half of a request's cost
        headers = {
            "x-goog-api-key": api_key,
            "api-revision": API_REVISION,
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "batchrun",
        }
        self._headers = httpx.Headers(headers)
        self._transport = transport or AiohttpTransport(total_timeout=total_timeout, max_body_bytes=max_body_bytes)

    def __repr__(self) -> str:
        return f"Client({self._url!r})"  # never the key

    async def create(self, body: bytes, timeout: float | None = None) -> Call:
        """POST one interaction. Never sent twice by this call. `timeout` (seconds) is for a request that waits."""
        return await self._call("POST", self._create_url, body, timeout)

    async def get(self, interaction_id: str) -> Call:
        """GET one interaction. Free, may be repeated."""
        return await self._call("GET", f"{self._url}/{interaction_id}")

    async def cancel(self, interaction_id: str) -> Call:
        """Ask the service to stop a background interaction. Best effort: look with `get` afterwards."""
        return await self._call("POST", f"{self._url}/{interaction_id}/cancel")

    async def delete(self, interaction_id: str) -> Call:
        """Remove a stored interaction."""
        return await self._call("DELETE", f"{self._url}/{interaction_id}")

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _call(self, method: str, url: httpx.URL | str, body: bytes = b"", timeout: float | None = None) -> Call:
        try:
            # As streams: what httpx adds to and reads from whole bodies costs a tenth of a row, and is not needed here.
            extensions = {} if timeout is None else {"timeout": {"total": timeout}}
            sent = httpx.ByteStream(body)
            request = httpx.Request(method, url, headers=self._headers, stream=sent, extensions=extensions)
            response = await self._transport.handle_async_request(request)
            assert isinstance(response.stream, httpx.AsyncByteStream)
            content = b"".join([part async for part in response.stream])
        except BROKEN as error:
            return fate_of(error)
        return Reply(response.status_code, self._without_key(content), response.headers)

    async def _open(self, body: bytes) -> httpx.Response:
        """POST an interaction whose answer is read while it comes. Raises what is in BROKEN; close the response."""
        headers = httpx.Headers(self._headers)
        headers["accept"] = "text/event-stream"
        stream = httpx.ByteStream(body)
        request = httpx.Request("POST", self._create_url, headers=headers, stream=stream, extensions={LIVE: True})
        return await self._transport.handle_async_request(request)

    def _without_key(self, content: bytes) -> bytes:
        """A server may quote what it was sent."""
        if len(self._key) >= _SHORTEST_SECRET and self._key in content:
            return content.replace(self._key, b"[the API key]")
        return content


def fate_of(error: Exception) -> NotSent | Lost:
    """What an error of a call proves about its request."""
    if isinstance(error, _NOT_SENT):
        return NotSent(str(error) or type(error).__name__)
    if isinstance(error, BodyTooLarge):
        return Lost(str(error), answered=True)
    return Lost(f"{type(error).__name__}: {error}")


def encode(value: Any) -> bytes:
    """Compact JSON bytes. Raises ValueError for what JSON or UTF-8 cannot hold (NaN, lone surrogates)."""
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
