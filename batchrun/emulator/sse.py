"""Server-sent events of an interaction: created, the steps piece by piece, completed, done.

Events are numbered; a client that comes back with the id of its last event gets the ones after it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from batchrun.emulator.answers import Answer, Headers, dump
from batchrun.emulator.deltas import deltas, skeleton
from batchrun.emulator.spoiled import flattened
from batchrun.emulator.storage import Kept
from batchrun.emulator.views import opening, seen_at

TYPE = b"text/event-stream"
_REDUCED = (
    *("id", "object", "status", "model", "agent", "created", "updated"),
    *("usage", "service_tier", "environment_id", "continuation_token"),
)
Event = dict[str, Any]


def stream(kept: Kept, now: float, headers: Headers = (), after: str = "") -> Answer:
    """All events of an interaction; those that are not there yet come one by one until it is ready."""
    begins, ends = max(kept.queued_until - now, 0.0), max(kept.ready_at - now, 0.0)
    queue = ((begins, _between(kept, after)),) if _queued(kept) else ()
    told = _paced(_closing(kept, after), ends - begins if queue else ends)
    return Answer(200, opening_events(kept, after), TYPE, headers, later=(*queue, *told))


def _paced(events: list[bytes], wait: float) -> tuple[tuple[float, bytes], ...]:
    """Events as a model tells them: silence for half of the time, then one after the other, the last at the end."""
    if not 0 < wait < math.inf:
        return ((wait, b"".join(events)),)
    pause = wait / 2 / max(len(events) - 1, 1)
    first = wait - pause * (len(events) - 1)
    return tuple((pause if number else first, event) for number, event in enumerate(events))


def opening_events(kept: Kept, after: str = "") -> bytes:
    """What a stream shows before the interaction is ready."""
    first = [_numbered(event, 1) for event in _opening(kept)]
    return b"".join(_framed(event) for event in first if _later(event, after))


def closing_events(kept: Kept, after: str = "") -> bytes:
    """The rest of the stream of an interaction that is ready."""
    return _between(kept, after) + b"".join(_closing(kept, after))


def _between(kept: Kept, after: str) -> bytes:
    """What a stream shows when an interaction leaves the queue; nothing for one that was in none."""
    update = {"event_type": "interaction.status_update", "interaction_id": _shown_id(kept), "status": "in_progress"}
    event = _numbered(update, 2)
    return _framed(event) if _queued(kept) and _later(event, after) else b""


def _closing(kept: Kept, after: str) -> list[bytes]:
    rest = [_numbered(event, number) for number, event in enumerate(_events(kept), 3 if _queued(kept) else 2)]
    *told, last = [_framed(event) for event in rest if _later(event, after)] or [b""]
    return [*told, last + b"event: done\ndata: [DONE]\n\n"]


def _queued(kept: Kept) -> bool:
    return kept.queued_until > kept.created


def _shown_id(kept: Kept) -> str:
    return str(json.loads(opening(kept))["id"])


def _opening(kept: Kept) -> list[Event]:
    document = json.loads(opening(kept))
    return [{"event_type": "interaction.created", "interaction": _reduced(document)}]


def _events(kept: Kept) -> Iterator[Event]:
    document = json.loads(flattened(seen_at(kept, kept.ready_at)))
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
