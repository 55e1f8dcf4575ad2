"""One step put together from its deltas, as an answer that is not streamed would have it. Pure.

Facts: Api-Revision 2026-05-20. Text comes in pieces; images, videos and documents in one; sounds in several, each of
which is base64 of its own; a function's arguments as pieces of a JSON text; what server tools do as fields of the step.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

from batchrun.interactions.models import MEDIA
from batchrun.interactions.pieces import Annotations, Piece, Step, block_pieces, pieces_of, summary_pieces, tool_pieces

_OF_SPEECH = ("text", "text_annotation_delta", *MEDIA)
_OF_THOUGHT = ("thought_summary", "thought_signature")


class StreamedStep:
    """`step` is what has come so far; `close` completes it."""

    def __init__(self, index: int, begun: Step) -> None:
        self._index = index
        self.step = begun
        self._arguments: list[str] = []
        self._sounds: list[bytes] = []

    def opening(self) -> list[Piece]:
        """What stood in the step when it began; calls and results are shown when they are complete."""
        tools = list(tool_pieces(self._index, self.step))
        return [piece for piece in pieces_of(self._index, self.step) if piece not in tools]

    def add(self, delta: Step) -> Iterable[Piece] | None:
        """Take a delta in; None if nobody knows what it is."""
        match delta:
            case {"type": "text", "text": str(text)}:
                return self._speak(delta, text)
            case {"type": "text_annotation_delta", "annotations": list(notes)}:
                return self._annotate(notes)
            case {"type": "thought_summary", "content": dict(content)}:
                self._list("summary").append(content)
                return summary_pieces(self._index, content)
            case {"type": "thought_signature", "signature": str(signature)}:
                self.step["signature"] = signature
                return ()
            case {"type": "arguments_delta", "arguments": str(piece)}:
                self._arguments.append(piece)
                return ()
            case {"type": str(kind)} if kind in MEDIA:
                return self._show(delta)
            case {"type": kind} if kind == self.step.get("type"):
                self._fill(delta)
                return ()
        return None

    def close(self) -> Iterable[Piece]:
        """The step has come to its end."""
        self._join_sounds()
        if self._arguments:
            self.step["arguments"] = _value("".join(self._arguments))
            self._arguments = []
        return tool_pieces(self._index, self.step)

    def _speak(self, delta: Step, text: str) -> Iterable[Piece]:
        blocks = self._list("content")
        if blocks and blocks[-1].get("type") == "text" and isinstance(blocks[-1].get("text"), str):
            blocks[-1]["text"] += text
        else:
            self._join_sounds()
            blocks.append(dict(delta))
        return block_pieces(self._index, delta)

    def _annotate(self, notes: list[Any]) -> Iterable[Piece]:
        blocks = self._list("content")
        if not blocks or blocks[-1].get("type") != "text":
            blocks.append({"type": "text", "text": ""})
        known = blocks[-1].get("annotations")
        blocks[-1]["annotations"] = [*(known if isinstance(known, list) else []), *notes]
        return [Annotations(self._index, tuple(notes))]

    def _show(self, block: Step) -> Iterable[Piece]:
        blocks = self._list("content")
        sound = _sound(block)
        if sound is None or not self._sounds or not _goes_on(blocks[-1], block, sound):
            self._join_sounds()
            blocks.append(dict(block))
        if sound is not None:
            self._sounds.append(sound)
        return block_pieces(self._index, block)

    def _join_sounds(self) -> None:
        """Sounds that belong together become one; a single one keeps the base64 that it came in."""
        if len(self._sounds) > 1:
            self._list("content")[-1]["data"] = b64encode(b"".join(self._sounds)).decode()
        self._sounds = []

    def _fill(self, delta: Step) -> None:
        for name, value in delta.items():
            known = self.step.get(name)
            if name == "result" and self.step["type"] == "file_search_result" and not _any_told(value):
                continue  # streams show empty objects where whole answers show nothing
            self.step[name] = _more(known, value) if name in ("arguments", "result") else value

    def _list(self, name: str) -> list[Step]:
        blocks = self.step.get(name)
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks[-1:]):
            blocks = self.step[name] = []
        return blocks


def begun_by(delta: Step) -> Step:
    """The step that a delta belongs to if nothing told of it before."""
    kind = delta.get("type")
    if kind in _OF_SPEECH:
        return {"type": "model_output"}
    if kind in _OF_THOUGHT:
        return {"type": "thought"}
    return {"type": "function_call" if kind == "arguments_delta" else kind}


def _sound(block: Step) -> bytes | None:
    """The bytes of a piece of sound; None for anything else."""
    data = block.get("data")
    if block["type"] != "audio" or not isinstance(data, str):
        return None
    try:
        return b64decode(data, validate=True)
    except ValueError:
        return None


def _goes_on(before: Step, block: Step, sound: bytes) -> bool:
    """Whether a piece of sound belongs to the one before it: same format, and it does not begin a WAV file."""
    told = (name for name in block if name not in ("data", "type"))
    return all(before.get(name) == block[name] for name in told) and not sound.startswith(b"RIFF")


def _more(known: Any, value: Any) -> Any:
    """What came before and what came now; only the latter where they cannot be put together."""
    match known, value:
        case dict(), dict():
            return {**known, **value}
        case (list(), list()) | (str(), str()):
            return known + value
    return value


def _any_told(result: object) -> bool:
    return any(result) if isinstance(result, list) else bool(result)


def _value(text: str) -> Any:
    """The JSON value of a text; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
