"""Server-sent events of an interaction: created, the steps piece by piece, completed, done.

Events are numbered; a client that comes back with the id of its last event gets the ones after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from batchrun.emulator.answers import Answer, Headers, dump
from batchrun.emulator.storage import Kept
from batchrun.emulator.views import opening, seen_at

_TYPE = b"text/event-stream"
_PIECE = 40
_REDUCED = ("id", "object", "status", "model", "agent", "created", "updated", "usage", "service_tier", "environment_id")
Event = dict[str, Any]


def stream(kept: Kept, now: float, headers: Headers = (), after: str = "") -> Answer:
    """All events of an interaction; those that are not there yet are sent when it is ready."""
    first = [_numbered(event, 1) for event in _opening(kept)]
    rest = [_numbered(event, number) for number, event in enumerate(_events(kept), 2)]
    opening = b"".join(_framed(event) for event in first if _later(event, after))
    closing = b"".join(_framed(event) for event in rest if _later(event, after))
    wait = max(kept.ready_at - now, 0.0)
    done = b"event: done\ndata: [DONE]\n\n"
    return Answer(200, opening, _TYPE, headers, later=((wait, closing + done),))


def _opening(kept: Kept) -> list[Event]:
    document = json.loads(opening(kept))
    return [{"event_type": "interaction.created", "interaction": _reduced(document)}]


def _events(kept: Kept) -> Iterator[Event]:
    document = json.loads(seen_at(kept, kept.ready_at))
    for index, step in enumerate(document.get("steps") or ()):
        yield from _step(index, step)
    yield {"event_type": "interaction.completed", "interaction": _reduced(document)}


def _step(index: int, step: dict[str, Any]) -> Iterator[Event]:
    skeleton = {"type": step["type"]}
    if step["type"] == "function_call":
        skeleton |= {"id": step["id"], "name": step["name"], "arguments": {}}
    yield {"event_type": "step.start", "index": index, "step": skeleton}
    for delta in _deltas(step):
        yield {"event_type": "step.delta", "index": index, "delta": delta}
    yield {"event_type": "step.stop", "index": index}


def _deltas(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match step["type"]:
        case "thought":
            for content in step.get("summary") or ():
                yield {"type": "thought_summary", "content": content}
            yield {"type": "thought_signature", "signature": step["signature"]}
        case "function_call":
            for piece in _pieces(dump(step["arguments"]).decode()):
                yield {"type": "arguments_delta", "arguments": piece}
        case "model_output":
            for block in step["content"]:
                for piece in _pieces(block["text"]):
                    yield {"type": "text", "text": piece}


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [""]


def _reduced(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in _REDUCED if name in document}


def _numbered(event: Event, number: int) -> Event:
    return {**event, "event_id": f"{number:06}"}


def _later(event: Event, after: str) -> bool:
    return str(event["event_id"]) > after


def _framed(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["event_type"].encode(), dump(event, ascii_only=True))
