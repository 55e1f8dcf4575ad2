"""Answers of a server that quotes the key it was sent, in every place that an answer has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from tests.reliability.lines import Line, Way, pass_on

_KEY = re.compile(rb"x-goog-api-key: ([^\r\n]+)", re.IGNORECASE)


def _quoting(make: Callable[[bytes], bytes]) -> Way:
    """What `make` makes of the key, in place of an answer, to a request that has a key."""

    async def way(line: Line) -> None:
        found = _KEY.search(await line.asked())
        if found is None:
            return await pass_on(line)
        await line.say(make(found[1]))
        line.close()
        return None

    return way


def _spoiling(change: Callable[[bytes, bytes], bytes]) -> Way:
    """The service's own answer, changed; `change` gets its body and the key."""

    async def way(line: Line) -> None:
        answer = await line.answer()
        found = _KEY.search(line.request)
        if found is None or not answer.startswith(b"HTTP/1.1 200"):
            return await line.say(answer)
        body = answer.partition(b"\r\n\r\n")[2]
        return await line.say(_said(b"200 OK", change(body, found[1])))

    return way


def _said(status: bytes, body: bytes, *headers: bytes) -> bytes:
    kind = b"Content-Type: application/json"
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), kind, *headers, b"", body])


def _error(code: int, status: str, reason: str = "") -> Callable[[bytes], bytes]:
    def said(key: bytes) -> bytes:
        message = f"The key {key.decode()} is not for this; {key.decode()[:20]}…"
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason or key.decode()}]
        error = {"error": {"code": code, "message": message, "status": status, "details": details}}
        return _said(b"%d No" % code, json.dumps(error).encode())

    return said


def _escaped(key: bytes) -> bytes:
    return b"".join(b"\\u%04x" % byte for byte in key)


def _text(body: bytes, said: bytes) -> bytes:
    """The answer with this as its texts."""
    return re.sub(rb'"text": ?"', lambda found: found[0] + said, body)


def _field(name: bytes) -> Callable[[bytes, bytes], bytes]:
    def changed(body: bytes, key: bytes) -> bytes:
        return re.sub(rb'"%s": ?"[^"]*"' % name, lambda _: b'"%s":"%s"' % (name, key), body)

    return changed


def _added(body: bytes, key: bytes) -> bytes:
    return b'{"%s":"%s","usage_note":["%s"],' % (key, key, key) + body.lstrip()[1:]


def _in_status(key: bytes) -> bytes:
    return b"HTTP/1.1 500 " + key + b"\r\nContent-Length: 0\r\n\r\n"


def _header(name: bytes, status: bytes = b"200 OK") -> Callable[[bytes], bytes]:
    return lambda key: _said(status, b"{}", name + b": " + key)


#: Every way, by name.
ECHOES: Mapping[str, Way] = {
    "400": _quoting(_error(400, "INVALID_ARGUMENT")),
    "400 about the key": _quoting(_error(400, "INVALID_ARGUMENT", "API_KEY_INVALID")),
    "401": _quoting(_error(401, "UNAUTHENTICATED")),
    "403": _quoting(_error(403, "PERMISSION_DENIED")),
    "404": _quoting(_error(404, "NOT_FOUND")),
    "409": _quoting(_error(409, "ABORTED")),
    "429": _quoting(_error(429, "RESOURCE_EXHAUSTED")),
    "500": _quoting(_error(500, "INTERNAL")),
    "503": _quoting(_error(503, "UNAVAILABLE")),
    "a page of a proxy": _quoting(lambda key: _said(b"502 Bad Gateway", b"<html>" + key)),
    "a 200 of a page": _quoting(lambda key: _said(b"200 OK", b"<html>" + key * 3)),
    "a 200 cut behind it": _quoting(lambda key: _said(b"200 OK", b'{"a":"' + key)[:-1] + key[-1:]),
    "cut within it": _quoting(lambda key: b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + key[:25]),
    "cut within a 500": _quoting(lambda key: b"HTTP/1.1 500 No\r\nContent-Length: 900\r\n\r\n" + key[:12]),
    "the id": _spoiling(_field(b"id")),
    "the status": _spoiling(_field(b"status")),
    "the model": _spoiling(_field(b"model")),
    "labels and other names": _spoiling(_added),
    "the text": _spoiling(lambda body, key: _text(body, key)),
    "the text, escaped": _spoiling(lambda body, key: _text(body, _escaped(key))),
    "the text, half escaped": _spoiling(lambda body, key: _text(body, key[:3] + _escaped(key[3:]))),
    "a header": _quoting(_header(b"X-Echo")),
    "Retry-After": _quoting(_header(b"Retry-After", b"503 No")),
    "Content-Type": _quoting(_header(b"Content-Type")),
    "Content-Encoding": _quoting(_header(b"Content-Encoding")),
    "Location": _quoting(lambda key: _said(b"307 Over there", b"", b"Location: http://127.0.0.1:1/?key=" + key)),
    "the address of an upload": _quoting(_header(b"X-Goog-Upload-Url")),
    "the reason of a status": _quoting(_in_status),
    "in place of a status line": _quoting(lambda key: key + b" " + key + b"\r\n\r\n"),
    "HTTP of an unknown version": _quoting(lambda key: b"HTTP/" + key + b" 200 OK\r\n\r\n"),
    "a status that is none": _quoting(lambda key: b"HTTP/1.1 " + key + b" OK\r\n\r\n"),
    "a header without a colon": _quoting(lambda key: b"HTTP/1.1 200 OK\r\n" + key + b"\r\n\r\n"),
    "a header with a NUL": _quoting(lambda key: _said(b"200 OK", b"{}", b"X: " + key + b"\x00" + key)),
    "a length": _quoting(lambda key: b"HTTP/1.1 200 OK\r\nContent-Length: " + key + b"\r\n\r\n{}"),
    "a chunk's size": _quoting(lambda key: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + key + b"\r\n"),
    "a cookie": _quoting(_header(b"Set-Cookie")),
    "an interim answer": _quoting(lambda key: b"HTTP/1.1 103 " + key + b"\r\nLink: " + key + b"\r\n\r\n"),
}
