"""The four calls a run makes. Each is one HTTP request: no retry, no redirect, no opinion about money.

Wire facts: Api-Revision 2026-05-20; header `x-goog-api-key`; create answers 200 with a JSON interaction.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping

import httpx

from batchrun.interactions.bodies import Body
from batchrun.interactions.evidence import Call, Lost, NotSent, Reply
from batchrun.interactions.transport import AiohttpTransport, BodyTooLarge

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
API_REVISION = "2026-05-20"
#: A shorter key is a placeholder for a server on this machine.
_SHORTEST_SECRET = 8
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


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
        self.base_url, self.version = base_url.rstrip("/"), version
        self._url = f"{self.base_url}/{version}/interactions"
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

    def fingerprint(self, salt: bytes) -> str:
        """16 characters that tell whether two keys are the same, and nothing else of them."""
        return hmac.digest(salt, self._key, "sha256").hex()[:16]

    async def create(self, body: bytes | Body) -> Call:
        """POST one interaction. Never sent twice by this call."""
        return await self._call("POST", self._create_url, body)

    async def get(self, interaction_id: str) -> Call:
        """GET one interaction. Free, may be repeated."""
        return await self._call("GET", f"{self._url}/{interaction_id}")

    async def cancel(self, interaction_id: str) -> Call:
        """Ask the service to stop a background interaction. Best effort: look with `get` afterwards."""
        return await self._call("POST", f"{self._url}/{interaction_id}/cancel")

    async def delete(self, interaction_id: str) -> Call:
        """Remove a stored interaction."""
        return await self._call("DELETE", f"{self._url}/{interaction_id}")

    async def beside(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body = b"", *, keyed: bool = True
    ) -> Call:
        """One request to a neighbour of the interactions, with `headers` of its own; the key only where `keyed`."""
        own = httpx.Headers({"accept-encoding": "identity", "user-agent": "batchrun", **headers})
        if keyed:
            own["x-goog-api-key"] = self._headers["x-goog-api-key"]
        return await self._call(method, url, body, own)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _call(
        self, method: str, url: httpx.URL | str, body: bytes | Body = b"", headers: httpx.Headers | None = None
    ) -> Call:
        try:
            # As streams: what httpx adds to and reads from whole bodies costs a tenth of a row, and is not needed here.
            request = _request(method, url, self._headers if headers is None else headers, body)
            response = await self._transport.handle_async_request(request)
            assert isinstance(response.stream, httpx.AsyncByteStream)
            content = b"".join([part async for part in response.stream])
        except _NOT_SENT as error:
            return NotSent(str(error) or type(error).__name__)
        except BodyTooLarge as error:
            return Lost(str(error), answered=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Lost(f"{type(error).__name__}: {error}")
        if len(self._key) >= _SHORTEST_SECRET and self._key in content:  # a server may quote what it was sent
            content = content.replace(self._key, b"[the API key]")
        return Reply(response.status_code, content, response.headers)


def _request(method: str, url: httpx.URL | str, headers: httpx.Headers, body: bytes | Body) -> httpx.Request:
    if isinstance(body, bytes):
        return httpx.Request(method, url, headers=headers, stream=httpx.ByteStream(body))
    sized = httpx.Headers([*headers.raw, (b"content-length", b"%d" % len(body))])
    return httpx.Request(method, url, headers=sized, stream=_Pieces(body))


class _Pieces(httpx.AsyncByteStream):
    """A body that is sent piece by piece."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.chunks()
