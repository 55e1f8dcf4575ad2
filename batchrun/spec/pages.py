"""Pages of a document as people write them (`1-20`, `3,7-9`), and as the API takes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from batchrun.errors import RowError

_RANGE = re.compile(r"([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?")

#: First and last page, 1-based, both included.
Range = tuple[int, int]


def parse_pages(text: str) -> list[Range]:
    """The ranges in `text`, in its order; none for empty text. Raises RowError (`bad_pages`)."""
    return [_range(part.strip(), text) for part in text.split(",")] if text.strip() else []


def _range(part: str, text: str) -> Range:
    match = _RANGE.fullmatch(part)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise RowError("bad_pages", f"{text!r} names no pages; write such as 1-20 or 3,7-9, from 1 up")
    return first, last


def page_blocks(block: dict[str, Any], ranges: list[Range]) -> Iterator[dict[str, Any]]:
    """`block` once for each range, and once as it is without any."""
    for first, last in ranges:
        options = {"type": "static", "page_options": {"start_page": first, "end_page": last}}
        yield {**block, "processing": options}
    if not ranges:
        yield block
