"""The ASGI app: reads a request, finds its route, sends the answer, breaks the connection where an answer says so.

Plain ASGI without a framework: two of the routes are what benchmarks of a client spend their time on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any

from batchrun.emulator import create, existing
from batchrun.emulator.answers import Answer
from batchrun.emulator.calls import Call
from batchrun.emulator.clocks import control_clock
from batchrun.emulator.delivery import Send, deliver
from batchrun.emulator.drops import closer
from batchrun.emulator.envelopes import Refusal, classic, refuse
from batchrun.emulator.files import uploads
from batchrun.emulator.neighbours import find_neighbour
from batchrun.emulator.resources import webhooks
from batchrun.emulator.service import Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

#: Inline media may be 100 MB a request; base64 of that and some room for the rest.
MAX_BODY = 144 * 1024 * 1024


class App:
    """The server of one emulator, for `httpx.ASGITransport` or an ASGI server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/upload/"):
            await self._upload(scope, receive, send)
            return
        if (pool := self._service.pool) is not None:
            pool.fill()  # what an earlier emulator left unanswered begins with the first call
        body = await _read(receive)
        if body is None:
            return
        call = Call(scope["method"], scope["path"], scope.get("query_string", b""), scope["headers"], body)
        try:
            await deliver(self._answer(call), scope, send)
        except asyncio.CancelledError:
            # The server is going away while the answer still waits: its client reads EOF.
            if (close := closer(scope)) is None:
                raise
            close(False)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope["method"], scope["path"], scope.get("query_string", b""), scope["headers"], b"")
        try:
            answer = await receive_upload(self._service, call, receive)
        except (Refusal, OSError, sqlite3.Error) as error:
            answer = answer_to(error)
        if answer is not None:
            await deliver(answer, scope, send)

    def _answer(self, call: Call) -> Answer:
        try:
            if len(call.body) > MAX_BODY:
                raise refuse("request_too_large", "The request is too large; upload media with the Files API.")
            return route(self._service, call)
        except (Refusal, OSError, sqlite3.Error) as error:
            return answer_to(error)


def answer_to(error: Exception) -> Answer:
    """What a refusal says; 503 where the emulator cannot write its state, its files or its ledger, a full disk say."""
    if isinstance(error, Refusal):
        return error.answer
    return classic(503, f"The emulator cannot keep its books: {error}.").answer


def route(service: Service, call: Call) -> Answer:
    """The answer to a call. Raises `Refusal` for the ones that are turned down."""
    _, version, *rest = call.path.split("/") if call.path.startswith("/") else ("", "")
    if version in ("v1beta", "v1"):
        match call.method, rest:
            case "POST", ["interactions"]:
                return create.create(service, call)
            case "GET", ["interactions", name] if name:
                return existing.get(service, call, name)
            case "POST", ["interactions", name, "cancel"] if name:
                return existing.cancel(service, call, name)
            case "DELETE", ["interactions", name] if name:
                return existing.delete(service, call, name)
    if call.method == "GET" and call.path == "/.well-known/jwks.json":
        return webhooks.jwks(service)
    if version in ("v1beta", "v1") and (neighbour := find_neighbour(service, call, rest)) is not None:
        return neighbour
    if call.path == "/emulator/clock":
        return control_clock(service.settings.clock, call)
    raise classic(404, "Method not found.")


async def receive_upload(service: Service, call: Call, receive: Receive) -> Answer | None:
    """The answer to a step of an upload, whose bytes go to disk as they come; None if the client left."""
    match call.method, call.path.split("/")[2:]:
        case "POST" | "PUT", [("v1beta" | "v1") as version, "files"]:
            if "upload_id" not in call.query:
                body = await _read(receive)
                return None if body is None else uploads.start(service, replace(call, body=body), version)
            intake = uploads.Intake(service, call)
            if await _feed(receive, intake.take):
                return intake.finish()
            intake.broken()
            return None
    raise classic(404, "Method not found.")


async def _feed(receive: Receive, take: Callable[[bytes], None]) -> bool:
    """Pass the body on piece by piece. False if the client left before its end."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        take(message.get("body", b""))
        more = message.get("more_body", False)
    return True


async def _read(receive: Receive) -> bytes | None:
    """The body, or None if the client left. Of a body that is too large only a little more than the limit."""
    message = await receive()
    if not message.get("more_body", False):
        return None if message["type"] == "http.disconnect" else message.get("body", b"")
    parts, size = [message.get("body", b"")], 0
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if size <= MAX_BODY:
            parts.append(message.get("body", b""))
            size += len(parts[-1])
    return b"".join(parts)
