"""Content blocks: text and the four kinds of media, each with its fields, MIME types and bytes that can be opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrun.emulator.envelopes import invalid, unknown_parameter
from batchrun.emulator.media.medium import Unusable
from batchrun.emulator.media.opening import open_block
from batchrun.emulator.rules import checks, processing
from batchrun.emulator.rules.checks import Check, list_of, positive, text

Block = dict[str, Any]

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
BLOCKS: Mapping[str, dict[str, Check]] = {
    "text": {"type": text, "text": text, "annotations": list_of(checks.mapping)},
    "image": {**_MEDIA, "resolution": _RESOLUTION},
    "audio": {**_MEDIA, "sample_rate": positive, "channels": positive, "processing": processing.audio},
    "video": {**_MEDIA, "resolution": _RESOLUTION, "name": text, "processing": processing.video},
    "document": {**_MEDIA, "resolution": _RESOLUTION, "processing": processing.document},
}


def check_blocks(items: list[Block], where: str) -> list[Block]:
    """The blocks themselves, if they may be what they are."""
    for index, item in enumerate(items):
        check_block(item, f"{where}[{index}]")
    return items


def check_block(block: Block, where: str) -> None:
    """Checks a block whose type is one of `BLOCKS`."""
    kind = block["type"]
    fields = BLOCKS[kind]
    for name, value in block.items():
        if name not in fields:
            raise unknown_parameter(name, where)
        if value is not None:
            fields[name](value, f"{where}.{name}")
    if kind == "text":
        checks.demand(block, where, "text")
    else:
        _media(block, kind, where)


def _media(block: Block, kind: str, where: str) -> None:
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


def _open(block: Block, where: str) -> None:
    try:
        open_block(block)
    except Unusable as unusable:
        raise invalid(f"Invalid value at '{where}.data': {unusable}.") from None
