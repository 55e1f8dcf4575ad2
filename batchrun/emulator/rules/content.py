"""The forms of `input`: a string, one content block, a list of blocks, one step, a list of steps.

Whatever the form, `steps_of` gives the list of steps that the request means.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.envelopes import invalid, refuse, unknown_parameter
from batchrun.emulator.media.medium import Unusable
from batchrun.emulator.media.opening import open_block
from batchrun.emulator.rules import checks, processing
from batchrun.emulator.rules.checks import Check, list_of, positive, text

Step = dict[str, Any]

_MIME: Mapping[str, tuple[str, ...]] = {
    "image": tuple(f"image/{kind}" for kind in ["png", "jpeg", "webp", "heic", "heif", "gif", "bmp", "tiff"]),
    "audio": tuple(
        f"audio/{kind}"
        for kind in ["wav", "mp3", "aiff", "aac", "ogg", "flac", "mpeg", "m4a", "l16", "opus", "alaw", "mulaw", "webm"]
    ),
    "video": tuple(f"video/{kind}" for kind in ["mp4", "mpeg", "mpg", "mov", "avi", "x-flv", "webm", "wmv", "3gpp"]),
    "document": (
        "application/pdf",
        "text/csv",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.ms-powerpoint",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
    ),
}
_SCHEMES = ("http", "https", "gs")
_RESOLUTION = checks.one_of("low", "medium", "high", "ultra_high")
_MEDIA: dict[str, Check] = {"type": text, "data": text, "uri": text, "mime_type": text}
_BLOCKS: Mapping[str, dict[str, Check]] = {
    "text": {"type": text, "text": text, "annotations": list_of(checks.mapping)},
    "image": {**_MEDIA, "resolution": _RESOLUTION},
    "audio": {**_MEDIA, "sample_rate": positive, "channels": positive, "processing": processing.audio},
    "video": {**_MEDIA, "resolution": _RESOLUTION, "name": text, "processing": processing.video},
    "document": {**_MEDIA, "resolution": _RESOLUTION, "processing": processing.document},
}
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


def steps_of(value: object) -> list[Step]:
    """The steps that an `input` means, checked."""
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, dict):
        return _from_list([value], "input")
    if isinstance(value, list) and value:
        return _from_list(value, "input")
    raise invalid("'input' must be a non-empty string, a content block, or a non-empty list of blocks or steps.")


def _from_text(value: str) -> list[Step]:
    if not value:
        raise invalid("'input' must not be empty.")
    return [{"type": "user_input", "content": [{"type": "text", "text": value}]}]


def _from_list(items: list[Any], where: str) -> list[Step]:
    kinds = {_kind(item, f"{where}[{index}]") for index, item in enumerate(items)}
    if kinds <= set(_BLOCKS):
        return [{"type": "user_input", "content": _blocks(items, where)}]
    if kinds & set(_BLOCKS):
        raise invalid(f"'{where}' mixes content blocks and steps; put the blocks into a user_input step.")
    return [_step(item, f"{where}[{index}]") for index, item in enumerate(items)]


def _kind(item: object, where: str) -> str:
    if not isinstance(item, dict):
        raise checks.wrong_type("an object with a 'type'", item, where)
    kind = item.get("type")
    if kind is None and "role" in item:
        raise invalid(f"{where}: the legacy Interactions API schema (role and content turns) is no longer supported.")
    if not isinstance(kind, str) or (kind not in _BLOCKS and kind not in _REQUIRED):
        known = ", ".join([*_BLOCKS, *_REQUIRED])
        raise invalid(f"Invalid value at '{where}.type': {checks.shown(kind)}. Expected one of: {known}.")
    return kind


def _step(step: Step, where: str) -> Step:
    kind = step["type"]
    checks.demand(step, where, *_REQUIRED[kind])
    match kind:
        case "user_input" | "model_output":
            return {**step, "content": _content(step.get("content"), f"{where}.content")}
        case "thought":
            _signature(step, where)
        case "function_call":
            _function_call(step, where)
        case "function_result":
            checks.text(step["call_id"], f"{where}.call_id")
            _result(step["result"], f"{where}.result")
    return step


def _function_call(step: Step, where: str) -> None:
    checks.text(step["id"], f"{where}.id")
    checks.text(step["name"], f"{where}.name")
    checks.mapping(step["arguments"], f"{where}.arguments")


def _result(value: object, where: str) -> None:
    """A function's result: a string, any object, or a list of blocks."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _kind(item, f"{where}[{index}]")
        _blocks(value, where)
    elif not isinstance(value, str | dict):
        raise checks.wrong_type("a string, an object or a list of content blocks", value, where)


def _signature(step: Step, where: str) -> None:
    signature = step.get("signature")
    if not isinstance(signature, str) or not signature:
        raise refuse("missing_thought_signature", f"{where}: a thought must be sent back with its signature.")
    _decode(signature, f"{where}.signature")


def _content(value: object, where: str) -> list[Step]:
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    items: list[Any] = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        if _kind(item, f"{where}[{index}]") not in _BLOCKS:
            raise invalid(f"{where}[{index}]: a step inside a step.")
    return _blocks(items, where)


def _blocks(items: list[Step], where: str) -> list[Step]:
    for index, item in enumerate(items):
        _block(item, f"{where}[{index}]")
    return items


def _block(block: Step, where: str) -> None:
    kind = block["type"]
    if kind not in _BLOCKS:
        raise invalid(f"Invalid value at '{where}.type': {kind!r} is no content block.")
    fields = _BLOCKS[kind]
    for name, value in block.items():
        if name not in fields:
            raise unknown_parameter(name, where)
        if value is not None:
            fields[name](value, f"{where}.{name}")
    if kind == "text":
        checks.demand(block, where, "text")
    else:
        _media(block, kind, where)


def _media(block: Step, kind: str, where: str) -> None:
    data, uri, mime = block.get("data"), block.get("uri"), block.get("mime_type")
    if (data is None) == (uri is None):
        raise invalid(f"{where}: exactly one of 'data' and 'uri' must be set.")
    if mime is None and not (kind == "video" and "youtu" in str(uri)):
        raise invalid(f"Missing required field 'mime_type' at {where!r}.")
    if mime is not None and mime.partition(";")[0].strip().lower() not in _MIME[kind]:
        raise invalid(f"Unsupported MIME type at '{where}.mime_type': {checks.shown(mime)} is no {kind}.")
    if data is not None:
        _open(block, where)
    elif str(uri).partition("://")[0].lower() not in _SCHEMES:
        raise invalid(
            f"Invalid value at '{where}.uri': {checks.shown(uri)}. Give the 'uri' of an uploaded file, not its name."
        )


def _open(block: Step, where: str) -> None:
    try:
        open_block(block)
    except Unusable as unusable:
        raise invalid(f"Invalid value at '{where}.data': {unusable}.") from None


def _decode(data: str, where: str) -> bytes:
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"Invalid value at {where!r}: base64 decoding failed.") from None
