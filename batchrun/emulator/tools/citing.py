"""An answer that says where its sentences come from. Indices count bytes of UTF-8, the end excluded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchrun.emulator.tools.use import Claim

Block = dict[str, Any]


def with_claims(text: str, claims: Iterable[Claim]) -> Block:
    """A text block: the text, then a sentence for each claim, annotated where it has a source."""
    annotations = []
    for claim in claims:
        start = len(f"{text} ".encode())
        text = f"{text} {claim.text}"
        if claim.annotation:
            annotations.append({**claim.annotation, "start_index": start, "end_index": len(text.encode())})
    return _block(text, annotations)


def cited_whole(text: str, claims: Iterable[Claim]) -> Block:
    """A text that must not be added to, such as JSON: every source stands for all of it."""
    end = len(text.encode())
    return _block(text, [{**c.annotation, "start_index": 0, "end_index": end} for c in claims if c.annotation])


def shortened(block: Block, text: str) -> Block:
    """The block with less text, without the annotations of what is gone."""
    end = len(text.encode())
    return _block(text, [note for note in block.get("annotations") or () if note["end_index"] <= end])


def _block(text: str, annotations: list[dict[str, Any]]) -> Block:
    return {"type": "text", "text": text, **({"annotations": annotations} if annotations else {})}
