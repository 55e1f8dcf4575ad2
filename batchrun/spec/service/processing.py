"""What the service takes of media: which part of them it looks at, and which types it documents. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.service.shapes import (
    Finding,
    Findings,
    Record,
    Shape,
    choice,
    either,
    got,
    list_of,
    number,
    positive,
    text,
)


def _offset(value: Any, path: KeyPath) -> Findings:
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", value):
        yield Finding(path, f"the service takes seconds such as 10.5s here{got(value)}")


_CUT = {"type": choice("static", "agentic"), "start_offset": _offset, "end_offset": _offset}
_PAGES = {
    "start_page": positive,
    "end_page": positive,
    "content_layers": list_of(choice("page_image", "page_text")),
}
_CELLS = {
    "sheet_index": positive,
    "visible_cells": text,
    "content_layers": list_of(choice("visual", "data", "formulas")),
}
PROCESSING: Mapping[str, Shape] = {
    "audio": either((str, choice("static")), (dict, Record(_CUT))),
    "video": either(
        (str, choice("static", "agentic")),
        (
            dict,
            Record({**_CUT, "fps": number, "content_layers": list_of(choice("frames", "audio", "transcript"))}),
        ),
    ),
    "document": either(
        (str, choice("static")),
        (
            dict,
            Record({"type": choice("static"), "page_options": Record(_PAGES), "spreadsheet_options": Record(_CELLS)}),
        ),
    ),
}
_OPEN = "application/vnd.oasis.opendocument"
_OFFICE = "application/vnd.openxmlformats-officedocument"
#: Types of media that the service documents. The list is open: others may work.
MIME_TYPES: Mapping[str, frozenset[str]] = {
    "image": frozenset(f"image/{kind}" for kind in ["png", "jpeg", "webp", "heic", "heif", "gif", "bmp", "tiff"]),
    "audio": frozenset(
        f"audio/{kind}"
        for kind in ["wav", "mp3", "aiff", "aac", "ogg", "flac", "mpeg", "m4a", "l16", "opus", "alaw", "mulaw", "webm"]
    ),
    "video": frozenset(
        f"video/{kind}" for kind in ["mp4", "mpeg", "mpg", "mov", "avi", "x-flv", "webm", "wmv", "3gpp"]
    ),
    "document": frozenset(
        ["application/pdf", "text/csv", "application/msword"]
        + [f"application/vnd.ms-{kind}" for kind in ("powerpoint", "excel")]
        + [f"{_OPEN}.{kind}" for kind in ("presentation", "text", "spreadsheet")]
        + [f"{_OFFICE}.wordprocessingml.{kind}" for kind in ("document", "template")]
        + [f"{_OFFICE}.presentationml.presentation", f"{_OFFICE}.spreadsheetml.sheet"]
    ),
}
