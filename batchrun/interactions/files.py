"""The Files API on the wire: resumable uploads in two steps, states, deletion. One request a call, no retry.

Wire facts: `start` answers with an address in `X-Goog-Upload-URL`, to which bytes go without the key; `query` tells how
many have arrived; the last chunk says `upload, finalize` and is answered with the file. Files are kept for 48 hours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from batchrun.errors import RefusedError
from batchrun.interactions.bodies import Body, encode
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call, Lost, NotSent, Refused, Reply, server_delay
from batchrun.interactions.models import ApiError, parse_json

KEPT_SECONDS = 48 * 3600.0
MOST_BYTES = 2_000_000_000
"""Bytes in one file."""
MOST_BYTES_OF_PROJECT = 20_000_000_000
_SERVICE = "googleapis.com"
_NAME = re.compile(r"files/[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file about to be uploaded. `name` is ours (`files/…`): after a lost answer it can be asked for."""

    name: str
    display_name: str
    mime_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Session:
    """An upload has begun; its bytes go to `url`."""

    url: str


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes that have arrived; `final` when the file is complete."""

    offset: int
    final: bool = False


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at the service. `expires_at` in Unix seconds, None if it was not told; `error` says why it FAILED."""

    name: str
    uri: str
    mime_type: str
    size: int
    state: str
    expires_at: float | None = None
    error: str = ""


#: What keeps a call from its answer; all but Refused may pass.
Trouble = Refused | NotSent | Lost


class FilesApi:
    """The Files API of the service that `client` talks to. `wall` gives Unix time, for Retry-After dates."""

    def __init__(self, client: Client, wall: Callable[[], float]) -> None:
        self._client, self._wall = client, wall
        self._start_url = f"{client.base_url}/upload/{client.version}/files"
        self._url = f"{client.base_url}/{client.version}/"

    async def start(self, file: NewFile) -> Session | Trouble:
        """Step one: announce a file. Raises RefusedError if its bytes were to go to another host."""
        told = {"name": file.name, "display_name": file.display_name, "mime_type": file.mime_type}
        headers = {
            "content-type": "application/json",
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(file.size),
            "x-goog-upload-header-content-type": file.mime_type,
        }
        body = encode({"file": {**told, "size_bytes": file.size}})
        reply = self._answered(await self._client.beside("POST", self._start_url, headers, body))
        if not isinstance(reply, Reply):
            return reply
        url = reply.headers.get("x-goog-upload-url", "")
        if not trusted(url, self._client.base_url):
            raise RefusedError(f"The service wants uploads sent to another host: {url[:200]!r}. Rows stay pending.")
        return Session(url)

    async def put(self, url: str, offset: int, chunk: bytes, *, last: bool) -> Received | RemoteFile | Trouble:
        """Step two: a chunk from `offset` on. The last one is answered with the file."""
        headers = {
            "x-goog-upload-command": "upload, finalize" if last else "upload",
            "x-goog-upload-offset": str(offset),
        }
        reply = self._answered(await self._client.beside("POST", url, headers, Body([chunk]), keyed=False))
        if not isinstance(reply, Reply):
            return reply
        if last:
            return _file_in(reply, "file") or Lost("the last chunk was answered without a file")
        return _received(reply, offset + len(chunk))

    async def query(self, url: str) -> Received | Trouble:
        """How far an upload is."""
        headers = {"x-goog-upload-command": "query"}
        reply = self._answered(await self._client.beside("POST", url, headers, keyed=False))
        return _received(reply) if isinstance(reply, Reply) else reply

    async def cancel(self, url: str) -> None:
        """Give an upload up. Best effort."""
        await self._client.beside("POST", url, {"x-goog-upload-command": "cancel"}, keyed=False)

    async def get(self, name: str) -> RemoteFile | Trouble:
        """A file by its name (`files/…`)."""
        reply = self._answered(await self._client.beside("GET", self._url + name, {}))
        if not isinstance(reply, Reply):
            return reply
        return _file_in(reply) or Lost("the service does not answer with a file")

    async def delete(self, name: str) -> Trouble | None:
        """Remove a file."""
        reply = self._answered(await self._client.beside("DELETE", self._url + name, {}))
        return None if isinstance(reply, Reply) else reply

    def _answered(self, call: Call) -> Reply | Trouble:
        if not isinstance(call, Reply) or call.ok:
            return call
        error = ApiError.parse(call.body)
        if error is None:
            return Lost(f"HTTP {call.status} without an error of the API")
        return Refused(call.status, error, server_delay(call, error, self._wall()))


def trusted(url: str, base_url: str) -> bool:
    """Whether bytes may be sent to an upload address: the service's own server, or another of Google's for Google."""
    try:
        there, here = urlsplit(url), urlsplit(base_url)
        same = (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
    except ValueError:
        return False
    return same or (there.scheme == "https" and _google_s(there.hostname) and _google_s(here.hostname))


def _google_s(host: str | None) -> bool:
    return host is not None and (host == _SERVICE or host.endswith("." + _SERVICE))


def _received(reply: Reply, sent: int | None = None) -> Received | Trouble:
    """How far the upload is: as the service tells, else as far as was `sent`."""
    status, told = reply.headers.get("x-goog-upload-status"), reply.headers.get("x-goog-upload-size-received", "")
    if status == "final":
        return Received(0, final=True)
    size = _number(told) if told else sent
    if status != "active" or size is None:
        return Lost(f"the upload's state is not told: {status!r}")
    return Received(size)


def _file_in(reply: Reply, inside: str = "") -> RemoteFile | None:
    value = parse_json(reply.body)
    told = value.get(inside) if inside and isinstance(value, dict) else value
    if not isinstance(told, dict) or not _NAME.fullmatch(str(told.get("name"))) or not isinstance(told.get("uri"), str):
        return None
    error = told.get("error")
    return RemoteFile(
        told["name"],
        told["uri"],
        str(told.get("mimeType") or ""),
        _number(told.get("sizeBytes")),
        str(told.get("state") or "ACTIVE"),
        _unix(told.get("expirationTime")),
        str(error.get("message") or "") if isinstance(error, dict) else "",
    )


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _unix(value: Any) -> float | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
