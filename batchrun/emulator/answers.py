"""An HTTP answer as data, and what is to happen to the connection that carries it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

Headers = tuple[tuple[bytes, bytes], ...]
#: On every answer, so that nobody takes this server for the service.
MARK: Headers = ((b"x-emulated", b"true"),)
_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ASCII = json.JSONEncoder(separators=(",", ":"))
JSON_TYPE = b"application/json; charset=UTF-8"


class Line(Enum):
    """What the connection does with an answer."""

    WHOLE = "sent in full"
    CUT = "closed after half of the body"
    BARE = "closed after the head of the answer, before its body"
    DROPPED = "closed without a byte of answer"
    RESET = "reset without a byte of answer"
    REFUSED = "refused; over a socket, where the request was read already, reset"

    @property
    def unanswered(self) -> bool:
        return self in (Line.DROPPED, Line.RESET, Line.REFUSED)


@dataclass(frozen=True, slots=True)
class Answer:
    """`delay` is seconds of waiting before the first byte; `later` are further (seconds to wait, bytes) pieces.

    `ended` waits in the place of a plain pause and gives the last bytes of an answer that must not go on.
    `coming` is for an answer that is not known yet: awaited, it gives the answer itself or, after a body, the rest.
    """

    status: int
    body: bytes
    content_type: bytes = JSON_TYPE
    headers: Headers = ()
    delay: float = 0.0
    line: Line = Line.WHOLE
    later: tuple[tuple[float, bytes], ...] = ()
    coming: Callable[[], Awaitable[Answer]] | None = None
    ended: Callable[[float], Awaitable[bytes | None]] | None = None

    def slower(self, seconds: float) -> Answer:
        return replace(self, delay=self.delay + seconds)


def dump(value: object, *, ascii_only: bool = False) -> bytes:
    """Compact JSON bytes. `ascii_only` escapes everything else, which is how a lone surrogate gets on the wire."""
    return (_ASCII if ascii_only else _PLAIN).encode(value).encode()


def json_answer(status: int, value: Mapping[str, Any] | list[Any]) -> Answer:
    return Answer(status, dump(value))
