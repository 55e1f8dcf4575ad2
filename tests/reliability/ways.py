"""How networks spoil an exchange of HTTP: connections that break, stall and crawl, and answers that nobody gave."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.reliability.lines import Line, On, Way, pass_on

_HTML = b"<html><title>Sign in</title><body>Please accept the terms of this network.</body></html>"
#: A TLS alert: handshake failure.
_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"


@dataclass(frozen=True, slots=True)
class Kind:
    """What strikes which exchanges. After it, `mixes` may have given a request the answer of another."""

    way: Way
    on: tuple[On, ...] = ("POST", "POST", "GET")
    mixes: bool = False


def _said(status: bytes, body: bytes, *headers: bytes) -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(head)


def _instead(data: bytes, *, sent: bool, close: bool = True) -> Way:
    """These bytes in place of an answer. With `sent` the service got the request."""

    async def way(line: Line) -> None:
        await (line.answer() if sent else line.asked())
        await line.say(data)
        if close:
            line.close()

    return way


def _changed(change: Callable[[bytes, Line], bytes], *, close: bool = True) -> Way:
    """The service's answer, changed; `change` gets all of it."""

    async def way(line: Line) -> None:
        await line.say(change(await line.answer(), line))
        if close:
            line.close()

    return way


def _broken(after: Callable[[Line], Awaitable[object]], *, reset: bool) -> Way:
    """The connection ends after this, without an answer."""

    async def way(line: Line) -> None:
        await after(line)
        (line.reset if reset else line.close)()

    return way


def _silent(after: Callable[[Line], Awaitable[object]]) -> Way:
    """Nothing more comes after this, and the connection stays."""

    async def way(line: Line) -> None:
        await after(line)
        await line.silence()
        line.close()

    return way


async def _at_once(_line: Line) -> None:
    """Before a byte is read."""


def _begins(place: Callable[[bytes, Line], int]) -> Callable[[Line], Awaitable[None]]:
    """Say as much of the answer as `place` tells."""

    async def begin(line: Line) -> None:
        answer = await line.answer()
        await line.say(answer[: place(answer, line)])

    return begin


def _body_at(answer: bytes) -> int:
    return answer.find(b"\r\n\r\n") + 4


def _in_status(_answer: bytes, line: Line) -> int:
    return line.random.randint(1, 12)


def _in_head(answer: bytes, line: Line) -> int:
    return line.random.randrange(13, _body_at(answer))


def _in_body(answer: bytes, line: Line) -> int:
    return line.random.randrange(_body_at(answer), len(answer))


def _anywhere(answer: bytes, line: Line) -> int:
    return line.random.randrange(len(answer))


async def _half_the_request(line: Line) -> None:
    """The service gets a part of the body, and then the connection ends."""
    request = await line.asked()
    if (size := len(request) - _body_at(request)) > 0:
        await line.forward(request[: -line.random.randint(1, size)])


async def _half_close(line: Line) -> None:
    await line.say(await line.answer())
    line.writer.write_eof()
    await line.silence()


async def _late(line: Line) -> None:
    await asyncio.sleep(line.random.uniform(0.1, 50))
    answer = await line.answer()
    await asyncio.sleep(line.random.uniform(0.1, 50))
    await line.say(answer)


async def _jitter(line: Line) -> None:
    answer = await line.answer()
    for start in range(0, len(answer), 200):
        await line.say(answer[start : start + 200])
        await asyncio.sleep(line.random.uniform(0, 8))


async def _narrow(line: Line) -> None:
    """So few bytes a second that the client may lose patience before the end."""
    answer, rate = await line.answer(), line.random.choice((5, 20, 200))
    for start in range(0, len(answer), rate):
        await line.say(answer[start : start + rate])
        await asyncio.sleep(1)


async def _single_bytes(line: Line) -> None:
    for byte in await line.answer():
        await line.say(bytes([byte]))
        await asyncio.sleep(0)


async def _twice(line: Line) -> None:
    answer = await line.answer()
    await line.say(answer)
    await asyncio.sleep(line.random.choice((0.0, 0.5, 3.0)))
    await line.say(answer)


async def _stale(line: Line) -> None:
    """A cache: the first answer of its kind for every request."""
    if line.earlier:
        await line.asked()
        return await line.say(line.earlier[0])
    await pass_on(line)
    line.earlier.append(line.answers[-1])
    return None


async def _interim(line: Line) -> None:
    answer = await line.answer()
    status = line.random.choice((b"100 Continue", b"102 Processing", b"103 Early Hints"))
    for _ in range(line.random.choice((1, 40, 2000))):
        await line.say(b"HTTP/1.1 " + status + b"\r\n\r\n")
    await line.say(answer)


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def _with_head(answer: bytes, *headers: bytes) -> bytes:
    """The head of the answer with these headers in place of its length, without the body."""
    lines = answer[: _body_at(answer) - 4].split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, *headers, b"", b""])


def _body(answer: bytes) -> bytes:
    return answer[_body_at(answer) :]


def _as_chunks(answer: bytes, _line: Line) -> bytes:
    return _with_head(answer, b"Transfer-Encoding: chunked") + _chunked(_body(answer)) + b"0\r\n\r\n"


def _bad_chunk(answer: bytes, _line: Line) -> bytes:
    half = len(_body(answer)) // 2
    head = _with_head(answer, b"Transfer-Encoding: chunked")
    return head + _chunked(_body(answer)[:half]) + b"zz\r\n" + _body(answer)[half:]


def _endless_chunks(answer: bytes, _line: Line) -> bytes:
    return _with_head(answer, b"Transfer-Encoding: chunked") + _chunked(_body(answer))


def _two_lengths(answer: bytes, _line: Line) -> bytes:
    lengths = (b"Content-Length: 7", b"Content-Length: %d" % len(_body(answer)))
    return _with_head(answer, *lengths) + _body(answer)


def _length_and_chunks(answer: bytes, _line: Line) -> bytes:
    body = _chunked(_body(answer)) + b"0\r\n\r\n"
    return _with_head(answer, b"Content-Length: 7", b"Transfer-Encoding: chunked") + body


def _sized(change: Callable[[int], bytes]) -> Way:
    """The answer with another length told."""

    def changed(answer: bytes, _line: Line) -> bytes:
        return _with_head(answer, b"Content-Length: " + change(len(_body(answer)))) + _body(answer)

    return _changed(changed)


def _packed(answer: bytes, _line: Line) -> bytes:
    body = gzip.compress(_body(answer))
    return _with_head(answer, b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body


def _flipped(answer: bytes, line: Line) -> bytes:
    """A byte of the body is another, as bad memory makes it."""
    at = line.random.randrange(_body_at(answer), len(answer))
    return answer[:at] + bytes([answer[at] ^ 0x80]) + answer[at + 1 :]


def _unlengthy(answer: bytes, _line: Line) -> bytes:
    return _with_head(answer, b"Connection: close").replace(b"HTTP/1.1", b"HTTP/1.0", 1) + _body(answer)


async def _split_requests(line: Line) -> None:
    """The request arrives at the service after a while; the client's patience may be over by then."""
    await line.asked()
    await asyncio.sleep(line.random.choice((1.0, 100.0, 130.0)))
    await pass_on(line)


_UNREAD: tuple[On, ...] = ("connection",)
_RETURNING: tuple[On, ...] = ("reused",)
#: Every kind, by name. A port that nobody listens on is not here: the proxy itself can be deaf.
KINDS: Mapping[str, Kind] = {
    "deaf": Kind(pass_on),
    "reset on connect": Kind(_broken(_at_once, reset=True), _UNREAD),
    "closed on connect": Kind(_broken(_at_once, reset=False), _UNREAD),
    "nothing is read": Kind(_silent(_at_once), _UNREAD),
    "idle connection closed as it is used again": Kind(_broken(_at_once, reset=False), _RETURNING),
    "idle connection reset as it is used again": Kind(_broken(_at_once, reset=True), _RETURNING),
    "reset in the head of the request": Kind(_broken(_at_once, reset=True)),
    "reset in the body of the request": Kind(_broken(Line.head, reset=True)),
    "closed after the request": Kind(_broken(Line.asked, reset=False)),
    "half the request is passed on": Kind(_broken(_half_the_request, reset=False)),
    "reset instead of the answer": Kind(_broken(Line.answer, reset=True)),
    "closed instead of the answer": Kind(_broken(Line.answer, reset=False)),
    "the request is swallowed": Kind(_silent(Line.asked)),
    "the answer is swallowed": Kind(_silent(Line.answer)),
    "closed in the status line": Kind(_broken(_begins(_in_status), reset=False)),
    "closed in the headers": Kind(_broken(_begins(_in_head), reset=False)),
    "closed in the body": Kind(_broken(_begins(_in_body), reset=False)),
    "closed anywhere": Kind(_broken(_begins(_anywhere), reset=False)),
    "reset after the headers": Kind(_broken(_begins(lambda answer, _: _body_at(answer)), reset=True)),
    "reset in the body": Kind(_broken(_begins(_in_body), reset=True)),
    "stalls in the headers": Kind(_silent(_begins(_in_head))),
    "stalls in the body": Kind(_silent(_begins(_in_body))),
    "half closed": Kind(_half_close),
    "late": Kind(_late),
    "the request comes late": Kind(_split_requests),
    "jitter": Kind(_jitter),
    "narrow": Kind(_narrow),
    "single bytes": Kind(_single_bytes),
    "twice": Kind(_twice, mixes=True),
    "stale": Kind(_stale, mixes=True),
    "interim answers": Kind(_interim),
    "switching protocols": Kind(_instead(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", sent=True)),
    "no status line": Kind(_instead(b"\x00\xff\x13 nothing of HTTP\r\n\r\n" * 3, sent=True)),
    "a TLS alert": Kind(_instead(_ALERT, sent=False)),
    "a sign-in page": Kind(_instead(_said(b"200 OK", _HTML, b"Content-Type: text/html"), sent=False)),
    "redirected to a sign-in page": Kind(_instead(_said(b"302 Found", b"", b"Location: /sign-in"), sent=False)),
    "redirected to itself": Kind(
        _instead(_said(b"307 Temporary Redirect", b"", b"Location: /v1beta/interactions"), sent=True)
    ),
    "a 200 of nothing": Kind(_instead(_said(b"200 OK", b""), sent=True)),
    "204": Kind(_instead(b"HTTP/1.1 204 No Content\r\n\r\n", sent=True)),
    "304": Kind(_instead(b"HTTP/1.1 304 Not Modified\r\n\r\n", sent=True)),
    "408 of a proxy": Kind(_instead(_said(b"408 Request Timeout", _HTML), sent=True)),
    "409 of a proxy": Kind(_instead(_said(b"409 Conflict", _HTML), sent=True)),
    "429 of a proxy": Kind(_instead(_said(b"429 Too Many Requests", _HTML), sent=False)),
    "500 of a proxy": Kind(_instead(_said(b"500 Internal Server Error", _HTML), sent=True)),
    "502 of a proxy": Kind(_instead(_said(b"502 Bad Gateway", _HTML), sent=True)),
    "503 of a proxy": Kind(_instead(_said(b"503 Service Unavailable", _HTML, b"Retry-After: 5"), sent=False)),
    "504 of a proxy": Kind(_instead(_said(b"504 Gateway Timeout", _HTML), sent=True)),
    "404 of a proxy": Kind(_instead(_said(b"404 Not Found", _HTML), sent=True)),
    "407 of a proxy": Kind(_instead(_said(b"407 Proxy Authentication Required", _HTML), sent=False)),
    "a header without an end": Kind(_instead(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, sent=True)),
    "a NUL in a header": Kind(_instead(_said(b"200 OK", b"{}", b"X: \x00"), sent=True)),
    "gzip of garbage": Kind(_instead(_said(b"200 OK", b"\x1f\x8b\x08garbage", b"Content-Encoding: gzip"), sent=True)),
    "gzip that nobody asked for": Kind(_changed(_packed)),
    "a length too long": Kind(_sized(lambda size: b"%d" % (size + 10))),
    "a length too short": Kind(_sized(lambda size: b"%d" % (size // 2))),
    "a length that is none": Kind(_sized(lambda _: b"-5")),
    "two lengths": Kind(_changed(_two_lengths)),
    "a length and chunks": Kind(_changed(_length_and_chunks)),
    "chunks": Kind(_changed(_as_chunks, close=False)),
    "a chunk without a size": Kind(_changed(_bad_chunk)),
    "chunks without an end": Kind(_changed(_endless_chunks)),
    "HTTP/1.0 without a length": Kind(_changed(_unlengthy)),
    "a flipped bit": Kind(_changed(_flipped, close=False)),
}  # fmt: skip
