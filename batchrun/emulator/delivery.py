"""How an answer goes out: in one piece, in pieces with pauses, when it is there at last, or not to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any, NoReturn

from batchrun.emulator.answers import MARK, Answer, Line
from batchrun.emulator.drops import ConnectionDropped, ConnectionLost, ConnectionRefused, closer

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def deliver(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer and do to the connection what it says."""
    if answer.delay > 0:
        await asyncio.sleep(answer.delay)
    if answer.coming is not None and not answer.body:
        answer = await answer.coming()
        return await deliver(answer, scope, send)
    if answer.line.unanswered:
        return _break(answer.line, scope)
    if answer.later or answer.coming is not None:
        return await _send_pieces(answer, scope, send)
    await _send_start(answer, len(answer.body), send)
    await _send_body(answer, scope, send)
    return None


async def _send_body(answer: Answer, scope: Scope, send: Send) -> None:
    """The body of an answer in one piece, or as much of it as a broken connection lets through."""
    match answer.line:
        case Line.WHOLE:
            await send({"type": "http.response.body", "body": answer.body})
        case Line.CUT:
            await _send_piece(answer.body[: len(answer.body) // 2], send)
            _break(answer.line, scope)
        case _:
            _break(answer.line, scope)


async def _send_pieces(answer: Answer, scope: Scope, send: Send) -> None:
    await _send_start(answer, None, send)
    await _send_piece(answer.body, send)
    loop = asyncio.get_running_loop()
    due = loop.time()
    for wait, piece in answer.later:
        due += wait
        last = await _paused(answer, max(due - loop.time(), 0.0))
        while last is None and (left := due - loop.time()) > 0:  # some loops count in milliseconds and wake up early
            last = await _paused(answer, left)
        await _send_piece(piece if last is None else last, send)
        if last is not None:
            break
    if answer.coming is not None:
        await _send_body(replace(await answer.coming(), later=()), scope, send)
    elif answer.line is Line.WHOLE:
        await send({"type": "http.response.body", "body": b""})
    else:
        _break(answer.line, scope)


async def _paused(answer: Answer, wait: float) -> bytes | None:
    """Wait; what the answer ends with if it ends meanwhile."""
    if answer.ended is not None and wait > 0:
        return await answer.ended(wait)
    await asyncio.sleep(wait)
    return None


async def _send_piece(piece: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _send_start(answer: Answer, length: int | None, send: Send) -> None:
    headers = [(b"content-type", answer.content_type), *MARK, *answer.headers]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


def _break(line: Line, scope: Scope) -> None:
    """Close the socket, or raise what httpx would raise if there were one."""
    close = closer(scope)
    if close is None:
        _raise(line)
    close(line in (Line.REFUSED, Line.RESET))


def _raise(line: Line) -> NoReturn:
    match line:
        case Line.REFUSED:
            raise ConnectionRefused("All connection attempts failed (emulated)")
        case Line.RESET:
            raise ConnectionLost("Connection reset by peer (emulated)")
        case Line.DROPPED:
            raise ConnectionDropped("Server disconnected without sending a response. (emulated)")
    raise ConnectionDropped("peer closed connection without sending complete message body (emulated)")
