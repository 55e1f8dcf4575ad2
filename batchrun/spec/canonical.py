"""One byte form for a JSON value, and the hash that names it. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> bytes:
    """Compact UTF-8 JSON with sorted keys.

    Raises UnicodeEncodeError for a lone surrogate, ValueError for NaN, infinity and circles, TypeError for what is
    not JSON, RecursionError for very deep values.
    """
    return _ENCODER.encode(value).encode()


def sha256_of(value: object) -> str:
    """Hex SHA-256 of the canonical JSON of `value`; raises what `canonical_json` raises."""
    return sha256(canonical_json(value)).hexdigest()


def deeper_than(value: Any, limit: int) -> bool:
    """Whether objects and arrays are nested more than `limit` levels. Needs no stack of its own."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [child for node in level for child in _containers(node)]
        if not level:
            return False
    return bool(level)


def shallow(value: Any, levels: int = 100) -> Any:
    """The value as far as people can be shown it: what is nested deeper is left out, with a note in its place."""
    if isinstance(value, dict | list) and levels == 0:
        return "[nested too deep to be shown]"
    if isinstance(value, dict):
        return {name: shallow(item, levels - 1) for name, item in value.items()}
    return [shallow(item, levels - 1) for item in value] if isinstance(value, list) else value


def _containers(node: dict[str, Any] | list[Any]) -> list[Any]:
    children = node.values() if isinstance(node, dict) else node
    return [child for child in children if isinstance(child, dict | list)]
