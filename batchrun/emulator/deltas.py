"""A step as a stream tells it: an empty one of its type first, then what fills it, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batchrun.emulator.answers import dump

_PIECE = 40
Step = dict[str, Any]
Delta = dict[str, Any]
#: What a step of these types must have even while it is still empty.
_EMPTY: dict[str, Step] = {
    "code_execution_call": {"arguments": {}},
    "code_execution_result": {"result": ""},
    "google_search_call": {"arguments": {}},
    "google_search_result": {"result": []},
    "url_context_call": {"arguments": {}},
    "url_context_result": {"result": []},
    "google_maps_result": {"result": []},
    "retrieval_call": {"arguments": {}},
    "tool_search_call": {"arguments": {}},
    "mcp_server_tool_call": {"arguments": {}},
    "mcp_server_tool_result": {"result": []},
    "function_call": {"arguments": {}},
}
_NAMES = ("id", "call_id", "name", "server_name", "search_type", "retrieval_type")
_TOLD = ("arguments", "result", "is_error", "signature", "name", "server_name")


def skeleton(step: Step) -> Step:
    names = {name: step[name] for name in _NAMES if name in step}
    return {"type": step["type"], **names, **_EMPTY.get(step["type"], {})}


def deltas(step: Step) -> Iterator[Delta]:
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
                yield from _block(block)
        case kind:
            yield {"type": kind, **_filling(step)}


def _block(block: Step) -> Iterator[Delta]:
    """Text in pieces and then its annotations; a medium in one piece."""
    if block["type"] != "text":
        yield block
        return
    for piece in _pieces(block["text"]):
        yield {"type": "text", "text": piece}
    if block.get("annotations"):
        yield {"type": "text_annotation_delta", "annotations": block["annotations"]}


def _filling(step: Step) -> Delta:
    filling = {name: step[name] for name in _TOLD if name in step}
    return {"result": [{}], **filling} if step["type"] == "file_search_result" else filling


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [""]
