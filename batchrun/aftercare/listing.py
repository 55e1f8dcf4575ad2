"""The service's list of the files in an agent's environment, read leniently. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batchrun.interactions.models import parse_json, storable


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry. `size` (bytes) and `modified` (Unix seconds) are None where the service does not tell."""

    path: str
    kind: str
    size: int | None
    modified: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list; `following` is the token of the next, empty after the last."""

    entries: tuple[Listed, ...]
    following: str

    @classmethod
    def parse(cls, raw: bytes) -> Page | None:
        """The list in a response body, None if the body is not one."""
        value = parse_json(raw)
        if not isinstance(value, dict):
            return None
        listed, token = value.get("files"), value.get("next_page_token") or value.get("nextPageToken")
        found = [_entry(entry) for entry in (listed if isinstance(listed, list) else []) if isinstance(entry, dict)]
        return cls(tuple(entry for entry in found if entry), storable(token) if isinstance(token, str) else "")


def _entry(entry: dict[str, Any]) -> Listed | None:
    path, kind = entry.get("path") or entry.get("name"), entry.get("type")
    if not isinstance(path, str):
        return None
    size = _size(entry.get("size_bytes", entry.get("sizeBytes")))
    return Listed(storable(path), kind if isinstance(kind, str) else "file", size, _time(entry.get("modified")))


def _size(value: object) -> int | None:
    """int64 values come as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _time(value: object) -> float | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if at is None or not 1970 < at.year < 2200:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
