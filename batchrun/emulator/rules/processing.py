"""`processing` of a medium: which part of it is looked at, and how."""

from __future__ import annotations

import math
import re

from batchrun.emulator.envelopes import invalid
from batchrun.emulator.rules import checks
from batchrun.emulator.rules.checks import list_of, number, one_of, positive, record, text

_OFFSET = re.compile(r"\d{1,9}(\.\d{1,9})?s")


def _offset(value: object, where: str) -> None:
    text(value, where)
    if not _OFFSET.fullmatch(str(value)):
        raise checks.wrong_type("seconds such as '10.5s'", value, where)


_CUT = {"type": one_of("static", "agentic"), "start_offset": _offset, "end_offset": _offset}
_PAGES = record(
    {"start_page": positive, "end_page": positive, "content_layers": list_of(one_of("page_image", "page_text"))}
)
_CELLS = {
    "sheet_index": positive,
    "visible_cells": text,
    "content_layers": list_of(one_of("visual", "data", "formulas")),
}


def _pages(value: object, where: str) -> None:
    _PAGES(value, where)
    asked = value if isinstance(value, dict) else {}
    if (asked.get("end_page") or math.inf) < (asked.get("start_page") or 1):
        raise invalid(f"Invalid value at {where!r}: 'end_page' is before 'start_page'.")


audio = checks.either((str, one_of("static")), (dict, record(_CUT)))
video = checks.either(
    (str, one_of("static", "agentic")),
    (dict, record({**_CUT, "fps": number, "content_layers": list_of(one_of("frames", "audio", "transcript"))})),
)
document = checks.either(
    (str, one_of("static")),
    (
        dict,
        record(
            {"type": one_of("static"), "page_options": _pages, "spreadsheet_options": record(_CELLS)},
        ),
    ),
)
