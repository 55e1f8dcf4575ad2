"""The part of a document that is looked at: `page_options` choose pages and layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrun.emulator.media.medium import Medium


def pages_seen(block: Mapping[str, Any], medium: Medium) -> range:
    """Numbers of the pages that are looked at, from 0; empty if the document has none of those asked for."""
    pages, asked = medium.pages or 1, _options(block)
    return range((asked.get("start_page") or 1) - 1, min(asked.get("end_page") or pages, pages))


def text_seen(block: Mapping[str, Any], medium: Medium) -> str:
    """The text layer of those pages; empty where only their pictures are asked for."""
    options = _options(block)
    if "page_text" not in (options.get("content_layers") or ("page_text",)):
        return ""
    if not options or not medium.page_texts:
        return medium.text
    seen = pages_seen(block, medium)
    return "\n".join(medium.page_texts[seen.start : seen.stop])


def _options(block: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = block.get("processing")
    options = asked.get("page_options") if isinstance(asked, dict) else None
    return options or {}
