"""The calls a run makes. Each is one HTTP request: no retry, no opinion about money, and no redirect except of a file.

Wire facts: Api-Revision 2026-05-20; header `x-goog-api-key`; create answers 200 with a JSON interaction.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, urlencode

import httpx

from batchrun.interactions.addresses import is_plain, safe_origin
from batchrun.interactions.bodies import Body
from batchrun.interactions.evidence import Call, Lost, NotSent, Reply
from batchrun.interactions.saving import MOST_BYTES, save, without
from batchrun.interactions.secret import INSTEAD, Secret
from batchrun.interactions.transport import ARRIVED, LIVE, MOST, AiohttpTransport, BodyTooLarge

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
API_REVISION = "2026-05-20"
_KEY = "x-goog-api-key"
#: Bytes in an error that is looked through for parts of the key.
_SHORT = 64 * 1024
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
#: What a call can raise; `fate_of` says what each proves.
BROKEN = (httpx.HTTPError, httpx.InvalidURL)


class Client:
    """Talks to one service with one key, which is in nothing that it gives back. Close it with `aclose`."""

    def __init__(
        self,
        api_key: str | Secret,
        *,
        base_url: str = DEFAULT_BASE_URL,
        version: str = "v1beta",
        transport: httpx.AsyncBaseTransport | None = None,
        total_timeout: float = 120.0,
        max_body_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self.base_url, self.version = base_url.rstrip("/"), version
        self._url = f"{self.base_url}/{version}/interactions"
        self._origin = safe_origin(base_url)
        self._key = api_key if isinstance(api_key, Secret) else Secret(api_key)
        self._create_url = httpx.URL(self._url)  # parsed once: with its headers that is half of a request's cost
        plain = {
            "api-revision": API_REVISION,
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "batchrun",
        }
        self._headers = SecretHeaders({_KEY: self._key.reveal(), **plain})
        self._transport = transport or AiohttpTransport(total_timeout=total_timeout, max_body_bytes=max_body_bytes)

    def __repr__(self) -> str:
        return f"Client({self._url!r})"  # never the key

    def fingerprint(self, salt: bytes) -> str:
        """16 characters that tell whether two keys are the same, and nothing else of them."""
        return hmac.digest(salt, self._key.reveal().encode(), "sha256").hex()[:16]

    async def create(self, body: bytes | Body, timeout: float | None = None) -> Call:
        """POST one interaction. Never sent twice by this call. `timeout` (seconds) is for a request that waits."""
        return await self._call("POST", self._create_url, body, timeout=timeout)

    async def get(self, interaction_id: str) -> Call:
        """GET one interaction. Free, may be repeated."""
        return await self._call("GET", f"{self._url}/{interaction_id}")

    async def cancel(self, interaction_id: str) -> Call:
        """Ask the service to stop a background interaction. Best effort: look with `get` afterwards."""
        return await self._call("POST", f"{self._url}/{interaction_id}/cancel")

    async def delete(self, interaction_id: str) -> Call:
        """Remove a stored interaction."""
        return await self._call("DELETE", f"{self._url}/{interaction_id}")

    async def models(self) -> Call:
        """GET the beginning of the list of models: what any accepted key may do."""
        return await self._call("GET", f"{self.base_url}/{self.version}/models?pageSize=1")

    async def environment_files(self, environment_id: str, page_token: str = "") -> Call:
        """GET a page of the list of all files in an agent's environment."""
        asked = {"recursive": "true", "page_size": "1000", **({"page_token": page_token} if page_token else {})}
        return await self._call("GET", f"{self._environment(environment_id)}/files/?{urlencode(asked)}")

    async def environment_file(self, environment_id: str, name: str, path: Path, most: int = MOST_BYTES) -> Call:
        """GET a file of an agent's environment, up to `most` bytes: Saved when it is at `path`. As `download`."""
        return await self._saved(f"{self._environment(environment_id)}/files/{quote(name)}?alt=media", path, most)

    def _environment(self, environment_id: str) -> str:
        return f"{self._url.removesuffix('/interactions')}/environments/{quote(environment_id, safe='')}"

    async def download(self, uri: str, path: Path, most: int = MOST_BYTES) -> Call:
        """GET a file that the service made for an answer: Saved when it is at `path`, whole and durable.

        Only from the service's own host, because the key goes with the request: NotSent for any other address. What
        that host leads to is fetched without the key. Raises StoreError where the disk refuses.
        """
        if not self.serves(uri):
            return NotSent(f"{uri[:200]!r} is not an address of this service, so it was not fetched")
        return await self._saved(uri, path, most)

    def serves(self, uri: str) -> bool:
        """Whether an address is the service's own."""
        origin = self._origin
        return origin is not None and uri.startswith(f"{origin}/") and is_plain(uri)

    async def beside(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body = b"", *, keyed: bool = True
    ) -> Call:
        """One request to a neighbour of the interactions, with `headers` of its own; the key only where `keyed`."""
        own = SecretHeaders({"accept-encoding": "identity", "user-agent": "batchrun", **headers})
        if keyed:
            own[_KEY] = self._key.reveal()
        return await self._call(method, url, body, own)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _call(
        self,
        method: str,
        url: httpx.URL | str,
        body: bytes | Body = b"",
        headers: httpx.Headers | None = None,
        timeout: float | None = None,
    ) -> Call:
        # As streams: what httpx adds to and reads from whole bodies costs a tenth of a row, and is not needed here.
        try:
            request = _request(method, url, self._headers if headers is None else headers, body)
        except BROKEN as error:
            return self._keyless(fate_of(error))
        if timeout is not None:
            request.extensions = {"timeout": {"total": timeout}}
        try:
            response = await self._transport.handle_async_request(request)
            assert isinstance(response.stream, httpx.AsyncByteStream)
            content = b"".join([part async for part in response.stream])
        except BROKEN as error:
            return self._broken_off(error, request)
        return self._keyless(Reply(response.status_code, content, response.headers))

    def _keyless(self, call: Call) -> Call:
        """What came of a call without the key, which a server may quote: nothing else leaves a client."""
        match call:
            case Reply():
                short = not call.ok and len(call.body) <= _SHORT
                body = (self._key.out_of_parts if short else self._key.out_of)(call.body)
                headers = self._key.out_of_headers(call.headers)
                same = body is call.body and headers is call.headers
                return call if same else replace(call, body=body, headers=headers)
            case Lost():
                said, body = self._key.out_of_text(call.reason), self._key.out_of(call.body, cut=True)
                return replace(call, reason=said, body=body)
        return NotSent(self._key.out_of_text(call.reason))

    def _broken_off(self, error: Exception, request: httpx.Request) -> Call:
        """What an error proves about its request, with what came of the answer."""
        fate, arrived = fate_of(error), request.extensions.pop(ARRIVED, None)
        if isinstance(fate, Lost) and arrived is not None:
            fate = Lost(fate.reason, fate.answered, arrived.status, arrived.body)
        return self._keyless(fate)

    async def _open(self, body: bytes) -> httpx.Response:
        """POST an interaction whose answer is read while it comes. Raises what is in BROKEN; close the response."""
        headers = SecretHeaders([*self._headers.raw])
        headers["accept"] = "text/event-stream"
        request = _request("POST", self._create_url, headers, body)
        request.extensions = {LIVE: True}
        return await self._transport.handle_async_request(request)

    async def _saved(self, url: str, path: Path, most: int) -> Call:
        async def get(there: str, keyed: bool) -> httpx.Response:
            asked = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "batchrun"}
            headers = SecretHeaders({**self._headers, **asked} if keyed else asked)
            request = _request("GET", there, headers, b"")
            request.extensions = {LIVE: True, MOST: most}
            response = await self._transport.handle_async_request(request)
            response.headers = httpx.Headers(self._key.out_of_headers(response.headers))  # before one leads elsewhere
            return response

        try:
            return self._keyless(await save(get, url, path, most, self.serves, self._pieces_without_key))
        except BROKEN as error:
            return self._keyless(fate_of(error))

    def _pieces_without_key(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        for form in self._key.forms:
            pieces = without(form, INSTEAD, pieces)
        return pieces


class SecretHeaders(httpx.Headers):
    """A request's headers, one of which is a key: they show their names only, and cannot be pickled."""

    def __repr__(self) -> str:
        return f"SecretHeaders({list(self)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("headers with an API key cannot be pickled or copied")


def fate_of(error: Exception) -> NotSent | Lost:
    """What an error of a call proves about its request."""
    said = str(error) or type(error).__name__
    if isinstance(error, _NOT_SENT):
        return NotSent(said)
    return Lost(said, answered=isinstance(error, BodyTooLarge))


def _request(method: str, url: httpx.URL | str, headers: httpx.Headers, body: bytes | Body) -> httpx.Request:
    """A request that keeps these very headers: httpx would make its own of them, which show what they hold."""
    if isinstance(body, bytes):
        request = httpx.Request(method, url, stream=httpx.ByteStream(body))
    else:
        headers = SecretHeaders([*headers.raw, (b"content-length", b"%d" % len(body))])
        request = httpx.Request(method, url, stream=_Pieces(body))
    request.headers = headers
    return request


class _Pieces(httpx.AsyncByteStream):
    """A body that is sent piece by piece."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.chunks()
