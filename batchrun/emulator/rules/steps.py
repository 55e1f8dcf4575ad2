"""Steps of a history: what the user and the client's functions say is checked by field, what the model said is kept.

A model's own steps may carry fields that nobody here knows: a client sends them back as they came.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.envelopes import invalid, refuse
from batchrun.emulator.rules import checks
from batchrun.emulator.rules.blocks import BLOCKS, check_block, check_blocks
from batchrun.emulator.rules.checks import Check, anything, text
from batchrun.emulator.rules.tools import function

Step = dict[str, Any]

_SERVER_TOOLS = (
    "code_execution",
    "google_search",
    "url_context",
    "google_maps",
    "file_search",
    "mcp_server_tool",
    "retrieval",
    "processing",
    "tool_search",
)
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "user_input": (),
    "model_output": (),
    "thought": (),
    "function_call": ("id", "name", "arguments"),
    "function_result": ("call_id", "result"),
    **{f"{tool}_call": () for tool in _SERVER_TOOLS},
    **{f"{tool}_result": () for tool in _SERVER_TOOLS},
}


def kind_of(item: object, where: str) -> str:
    """The type of a content block or a step; raises `Refusal` for what is neither."""
    if not isinstance(item, dict):
        raise checks.wrong_type("an object with a 'type'", item, where)
    kind = item.get("type")
    if kind is None and "role" in item:
        raise invalid(f"{where}: the legacy Interactions API schema (role and content turns) is no longer supported.")
    if not isinstance(kind, str) or (kind not in BLOCKS and kind not in _REQUIRED):
        known = ", ".join([*BLOCKS, *_REQUIRED])
        raise invalid(f"Invalid value at '{where}.type': {checks.shown(kind)}. Expected one of: {known}.")
    return kind


def checked_step(step: Step, where: str) -> Step:
    """The step, with its content as a list of blocks."""
    kind = step["type"]
    if kind in _CLIENT:
        _CLIENT[kind](step, where)
    checks.demand(step, where, *_REQUIRED[kind])
    match kind:
        case "user_input" | "model_output":
            return {**step, "content": _content(step.get("content"), f"{where}.content")}
        case "function_call":
            _function_call(step, where)
        case "thought":
            _check_thought(step, where)
    if step.get("signature") is not None:
        _check_signature(step["signature"], f"{where}.signature")
    return step


def _function_call(step: Step, where: str) -> None:
    checks.text(step["id"], f"{where}.id")
    checks.text(step["name"], f"{where}.name")
    checks.mapping(step["arguments"], f"{where}.arguments")


def _check_thought(step: Step, where: str) -> None:
    if not step.get("signature"):
        raise refuse("missing_thought_signature", f"{where}: a thought must be sent back with its signature.")


def _check_signature(value: object, where: str) -> None:
    checks.text(value, where)
    try:
        b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"Invalid value at {where!r}: base64 decoding failed.") from None


def _result(value: object, where: str) -> None:
    """A function's result: a string, any object, or a list of blocks and functions."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _result_item(item, f"{where}[{index}]")
    elif not isinstance(value, str | dict):
        raise checks.wrong_type("a string, an object or a list of content blocks", value, where)


def _result_item(item: object, where: str) -> None:
    if not isinstance(item, dict):
        raise checks.wrong_type("a content block or a function", item, where)
    checks.one_of(*BLOCKS, "function")(item.get("type"), f"{where}.type")
    if item["type"] == "function":
        function(item, where)
    else:
        check_block(item, where)


def _content(value: object, where: str) -> list[Step]:
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    items: list[Any] = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        if kind_of(item, f"{where}[{index}]") not in BLOCKS:
            raise invalid(f"{where}[{index}]: a step inside a step.")
    return check_blocks(items, where)


#: The fields of the steps that a client makes itself.
_CLIENT: Mapping[str, Check] = {
    "user_input": checks.record({"type": text, "content": anything}),
    "function_result": checks.record(
        {"type": text, "call_id": text, "name": text, "result": _result, "is_error": checks.boolean, "signature": text}
    ),
}
