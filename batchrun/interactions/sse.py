"""Server-sent events from bytes, however the bytes are cut. Pure; nothing here raises for what a server sends.

Facts: the WHATWG "event stream" format; the Interactions API puts a JSON object, or `[DONE]`, into each event's data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
#: Of text that is no event only the beginning can matter: an error that stands where an event should.
_MOST_STRAY = 65_536


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` is UTF-8, lines joined by newlines; `name` and `id` are empty where the server gave none."""

    name: str
    data: bytes
    id: str


class EventReader:
    """Takes bytes as they come, gives events as they are complete. `stray` is the text since the last one that is none.

    A line is put together only once it is complete, so no piece of a character is ever decoded and no byte of a long
    line (an image, say) is looked at twice.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._skip_newline = False
        self._first = True
        self._fields: dict[bytes, list[bytes]] = {}
        self._stray = bytearray()
        self._last_id = ""

    @property
    def stray(self) -> bytes:
        return bytes(self._stray)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete."""
        if not chunk:
            return []
        if self._skip_newline and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._skip_newline = chunk[-1:] == b"\r"
        *complete, last = _LINE_END.split(chunk)
        events = [event for line in complete if (event := self._end_line(line)) is not None]
        self._line.append(last)
        return events

    def end(self) -> list[Event]:
        """What was begun and not ended. It may be half of an event: its data must be looked at."""
        return self.feed(b"\n\n")

    def _end_line(self, rest: bytes) -> Event | None:
        self._line.append(rest)
        line = b"".join(self._line)
        self._line.clear()
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name in (b"event", b"data", b"id"):
            self._fields.setdefault(name, []).append(value.removeprefix(b" "))
        elif name and name != b"retry" and len(self._stray) < _MOST_STRAY:  # a line that begins with ":" is a comment
            self._stray += line + b"\n"
        return None

    def _dispatch(self) -> Event | None:
        fields, self._fields = self._fields, {}
        if b"id" in fields:
            self._last_id = fields[b"id"][-1].decode(errors="replace")
        if b"data" not in fields:
            return None
        self._stray.clear()
        name = fields.get(b"event", [b""])[-1].decode(errors="replace")
        return Event(name, b"\n".join(fields[b"data"]), self._last_id)
