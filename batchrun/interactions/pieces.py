"""What a person wants to see of an interaction while it comes: pieces, in the order in which they arrived.

Every text is as the server sent it, control characters included: whoever prints it must make it harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.interactions.models import MEDIA

Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """The interaction has an id, or another status."""

    interaction_id: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins. `name` is the function's, for steps that have one."""

    index: int
    type: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer's text."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """More of a summary of what the model thinks."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A `*_call` step is complete. `arguments` is an object; whatever came instead if it is none."""

    index: int
    type: str
    name: str | None
    arguments: Any


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A `*_result` step is complete."""

    index: int
    type: str
    name: str | None
    result: Any
    is_error: bool


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound (or more of it), a video or a document. `size` is in bytes, None for one behind a `uri`."""

    index: int
    kind: str
    mime_type: str | None
    size: int | None
    uri: str | None


@dataclass(frozen=True, slots=True)
class Annotations:
    """Where the text comes from: citations as the API has them, with indices in bytes of the step's text in UTF-8."""

    index: int
    annotations: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing more comes by itself; the answer is being fetched. `reason` says why, or what the last look showed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The interaction has ended. `usage` is the API's usage object, None if it is not known."""

    status: str | None
    usage: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Unread:
    """An event of a kind that nobody here knows; it is kept in the answer."""

    event: dict[str, Any]


Piece = Status | StepStarted | Text | Thought | ToolCall | ToolResult | Media | Annotations | Waiting | Stopped | Unread


def started(index: int, step: Step) -> StepStarted:
    return StepStarted(index, str(step.get("type")), _text(step.get("name")))


def pieces_of(index: int, step: Step) -> Iterator[Piece]:
    """All that a step has to show."""
    for block in _blocks(step.get("content")):
        yield from block_pieces(index, block)
    for block in _blocks(step.get("summary")):
        yield from summary_pieces(index, block)
    yield from tool_pieces(index, step)


def unseen(before: Mapping[int, Step], after: list[Step]) -> Iterator[Piece]:
    """What steps show that half of them, as far as they came before, did not."""
    for index, step in enumerate(after):
        if index not in before:
            yield started(index, step)
        shown = list(pieces_of(index, before.get(index, {})))
        for number, piece in enumerate(pieces_of(index, step)):
            yield from _more(shown[number] if number < len(shown) else None, piece)


def _more(shown: Piece | None, piece: Piece) -> Iterator[Piece]:
    match shown, piece:
        case (Text(_, begun), Text(index, text)) if text.startswith(begun):
            yield from [Text(index, text[len(begun) :])] if text != begun else []
        case (Thought(_, begun), Thought(index, text)) if text.startswith(begun):
            yield from [Thought(index, text[len(begun) :])] if text != begun else []
        case _ if shown != piece:
            yield piece


def block_pieces(index: int, block: Step) -> Iterator[Piece]:
    """What a content block shows."""
    kind, annotations = block.get("type"), block.get("annotations")
    if kind == "text" and (text := _text(block.get("text"))):
        yield Text(index, text)
    elif kind in MEDIA:
        yield Media(index, str(kind), _text(block.get("mime_type")), _size(block), _text(block.get("uri")))
    if isinstance(annotations, list) and annotations:
        yield Annotations(index, tuple(annotations))


def summary_pieces(index: int, block: Step) -> Iterator[Piece]:
    """What a block of a thought's summary shows."""
    if block.get("type") == "text" and (text := _text(block.get("text"))):
        yield Thought(index, text)
    elif block.get("type") in MEDIA:
        yield from block_pieces(index, block)


def tool_pieces(index: int, step: Step) -> Iterator[Piece]:
    """What the call of a tool, or its result, shows."""
    kind, name = str(step.get("type")), _text(step.get("name"))
    if kind.endswith("_call"):
        yield ToolCall(index, kind, name, step.get("arguments"))
    elif kind.endswith("_result"):
        yield ToolResult(index, kind, name, step.get("result"), step.get("is_error") is True)


def _size(block: Step) -> int | None:
    """Bytes behind base64."""
    data = block.get("data")
    return len(data.rstrip("=")) * 3 // 4 if isinstance(data, str) else None


def _blocks(value: object) -> list[Step]:
    return [block for block in value if isinstance(block, dict)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
