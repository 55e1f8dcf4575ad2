"""The ASGI app: reads a request, finds its route, sends the answer, breaks the connection where an answer says so.

Plain ASGI without a framework: two of the routes are what benchmarks of a client spend their time on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from batchrun.emulator import create, existing
from batchrun.emulator.answers import MARK, Answer, Line
from batchrun.emulator.calls import Call
from batchrun.emulator.drops import ConnectionDropped, ConnectionRefused, closer
from batchrun.emulator.envelopes import Refusal, classic, refuse
from batchrun.emulator.service import Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Inline media may be 100 MB a request; base64 of that and some room for the rest.
MAX_BODY = 144 * 1024 * 1024


class App:
    """The server of one emulator, for `httpx.ASGITransport` or an ASGI server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        if body is None:
            return
        call = Call(scope["method"], scope["path"], scope.get("query_string", b""), scope["headers"], body)
        try:
            await _deliver(self._answer(call), scope, send)
        except asyncio.CancelledError:
            # The server is going away while the answer still waits: its client reads EOF.
            if (close := closer(scope)) is None:
                raise
            close(False)

    def _answer(self, call: Call) -> Answer:
        try:
            if len(call.body) > MAX_BODY:
                raise refuse("request_too_large", "The request is too large; upload media with the Files API.")
            return route(self._service, call)
        except Refusal as refusal:
            return refusal.answer


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
    raise classic(404, "Method not found.")


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


async def _deliver(answer: Answer, scope: Scope, send: Send) -> None:
    if answer.delay > 0:
        await asyncio.sleep(answer.delay)
    match answer.line:
        case Line.WHOLE:
            await _send(answer, answer.body, send)
        case Line.CUT:
            await _send_start(answer, len(answer.body), send)
            half = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            _break(answer.line, scope)
        case _:
            _break(answer.line, scope)


async def _send(answer: Answer, body: bytes, send: Send) -> None:
    if not answer.later:
        await _send_start(answer, len(body), send)
        await send({"type": "http.response.body", "body": body})
        return
    await _send_start(answer, None, send)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    for wait, piece in answer.later:
        await asyncio.sleep(wait)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_start(answer: Answer, length: int | None, send: Send) -> None:
    headers = [(b"content-type", answer.content_type), *MARK, *answer.headers]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


def _break(line: Line, scope: Scope) -> None:
    """Close the socket, or raise what httpx would raise if there were one."""
    close = closer(scope)
    if close is not None:
        close(line is Line.REFUSED)
    elif line is Line.REFUSED:
        raise ConnectionRefused("All connection attempts failed (emulated)")
    elif line is Line.CUT:
        raise ConnectionDropped("peer closed connection without sending complete message body (emulated)")
    else:
        raise ConnectionDropped("Server disconnected without sending a response. (emulated)")
