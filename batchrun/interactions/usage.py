"""The usage object of an interaction, read leniently: what is no count is None, never 0. Pure.

Facts: Api-Revision 2026-05-20, `usage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Usage = Mapping[str, Any]

#: Queries that are counted, and billed, apart from tokens.
GROUNDING = ("google_search", "google_maps", "retrieval")
#: More tokens in one interaction are a mistake of the server's, not a usage.
MOST_TOKENS = 10**9


def count(usage: Usage, name: str) -> int | None:
    """A counter of a usage object; None where there is no count that can be one: negative, no integer, over 63 bits."""
    value = usage.get(name)
    return value if type(value) is int and 0 <= value < 2**63 else None


def plausible_tokens(usage: Usage, name: str) -> int | None:
    """A count of tokens that may steer the pace of a run; None for one that no interaction can have."""
    tokens = count(usage, name)
    return None if tokens is None or tokens >= MOST_TOKENS else tokens


def by_modality(usage: Usage, family: str) -> Iterator[tuple[str, int]]:
    """(modality, tokens) of each well-formed item of a list such as `input_tokens_by_modality`."""
    return _pairs(usage.get(f"{family}_tokens_by_modality"), "modality", "tokens")


def queries(usage: Usage) -> Iterator[tuple[str, int]]:
    """(kind, queries) of each well-formed item of `grounding_tool_count`."""
    return _pairs(usage.get("grounding_tool_count"), "type", "count")


def _pairs(items: object, kind: str, number: str) -> Iterator[tuple[str, int]]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get(kind), str) and (found := count(item, number)) is not None:
            yield item[kind].lower(), found
