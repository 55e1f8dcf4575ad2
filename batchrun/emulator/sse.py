"""Server-sent events of an interaction: created, the steps piece by piece, completed, done.

Events are numbered; a client that comes back with the id of its last event gets the ones after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from batchrun.emulator.answers import Answer, Headers, dump
from batchrun.emulator.deltas import deltas, skeleton
from batchrun.emulator.storage import Kept
from batchrun.emulator.views import opening, seen_at

TYPE = b"text/event-stream"
_REDUCED = (
    *("id", "object", "status", "model", "agent", "created", "updated"),
    *("usage", "service_tier", "environment_id", "continuation_token"),
)
Event = dict[str, Any]


def stream(kept: Kept, now: float, headers: Headers = (), after: str = "") -> Answer:
    """All events of an interaction; those that are not there yet are sent when it is ready."""
    wait = max(kept.ready_at - now, 0.0)
    return Answer(200, opening_events(kept, after), TYPE, headers, later=((wait, closing_events(kept, after)),))


def opening_events(kept: Kept, after: str = "") -> bytes:
    """What a stream shows before the interaction is ready."""
    first = [_numbered(event, 1) for event in _opening(kept)]
    return b"".join(_framed(event) for event in first if _later(event, after))


def closing_events(kept: Kept, after: str = "") -> bytes:
    """The rest of the stream of an interaction that is ready."""
    rest = [_numbered(event, number) for number, event in enumerate(_events(kept), 2)]
    closing = b"".join(_framed(event) for event in rest if _later(event, after))
    return closing + b"event: done\ndata: [DONE]\n\n"


def _opening(kept: Kept) -> list[Event]:
    document = json.loads(opening(kept))
    return [{"event_type": "interaction.created", "interaction": _reduced(document)}]


def _events(kept: Kept) -> Iterator[Event]:
    document = json.loads(seen_at(kept, kept.ready_at))
    for index, step in enumerate(document.get("steps") or ()):
        yield from _step(index, step)
    for error in document.get("errors") or ():
        yield {"event_type": "error", "error": error}
    yield {"event_type": "interaction.completed", "interaction": _reduced(document)}


def _step(index: int, step: dict[str, Any]) -> Iterator[Event]:
    yield {"event_type": "step.start", "index": index, "step": skeleton(step)}
    for delta in deltas(step):
        yield {"event_type": "step.delta", "index": index, "delta": delta}
    yield {"event_type": "step.stop", "index": index}


def _reduced(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in _REDUCED if name in document}


def _numbered(event: Event, number: int) -> Event:
    return {**event, "event_id": f"{number:06}"}


def is_event_id(text: str) -> bool:
    return len(text) == 6 and text.isascii() and text.isdecimal()


def _later(event: Event, after: str) -> bool:
    return str(event["event_id"]) > after


def _framed(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["event_type"].encode(), dump(event, ascii_only=True))
