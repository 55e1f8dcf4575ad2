"""What the service does not hold of a JSON Schema: keywords that it ignores, arrays that it finds too complex. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

IGNORED = frozenset(
    {
        "minLength", "maxLength", "minProperties", "maxProperties", "uniqueItems", "contains", "minContains",
        "maxContains",
    }
)  # fmt: skip
#: Where the service draws the line is not documented. Arrays that may hold more items together are warned of.
MOST_NESTED_ITEMS = 1_000_000
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
_SHOWN = 3


def ignored_keywords(schema: Mapping[str, Any]) -> str:
    """The keywords that do nothing at the service, with their places: `minLength (name), uniqueItems (tags)`."""
    found = [
        f"{keyword} ({place})" if place else keyword
        for part, place in _parts(schema)
        for keyword in sorted(IGNORED & part.keys())
        if part[keyword] not in (0, False, None)
    ]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def nested_items(schema: Mapping[str, Any]) -> int:
    """How many items arrays inside arrays may hold together; 1 where no array with `maxItems` is inside another."""
    most = 1
    waiting: list[tuple[Any, int, int]] = [(schema, 1, 0)]
    while waiting:
        part, items, depth = waiting.pop()
        own = part.get("maxItems")
        if isinstance(own, int) and own > 1:
            items, depth = items * own, depth + 1
        most = max(most, items if depth > 1 else 1)
        waiting += [(child, items, depth) for child, _ in _children(part, "")]
    return most


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Every schema inside a schema with its place, in the order written. Schemas are data: no recursion."""
    waiting: list[tuple[Any, str]] = [(schema, "")]
    while waiting:
        part, place = waiting.pop()
        yield part, place
        waiting += reversed([*_children(part, place)])


def _children(part: Mapping[str, Any], place: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for keyword, value in part.items():
        if keyword in _NAMED and isinstance(value, dict):
            found = [(child, f"{place}.{name}".lstrip(".")) for name, child in value.items()]
        elif keyword in _LISTED and isinstance(value, list):
            found = [(child, place) for child in value]
        else:
            found = [(value, f"{place}[]" if keyword == "items" else place)] if keyword in _SINGLE else []
        yield from ((child, where) for child, where in found if isinstance(child, dict))
