"""How two JSON values differ, in lines for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_WIDTH = 60
#: Characters before the first difference of two texts that are shown.
_CONTEXT = 15
_ABSENT = object()


def differences(before: Any, after: Any, path: str) -> Iterator[str]:
    """`path.to.value: before → after` for each value that differs, the deepest that can be named."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from differences(
                before.get(name, _ABSENT), after.get(name, _ABSENT), f"{path}.{name}" if path else name
            )
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{number}]")
    elif before is _ABSENT or after is _ABSENT or json.dumps(before) != json.dumps(after):
        yield f"{path} changed: {' → '.join(_shown(before, after))}"


def _shown(before: Any, after: Any) -> tuple[str, str]:
    """Both, shortened so that the difference is in sight."""
    old, new = _text(before), _text(after)
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    cut = max(0, same - _CONTEXT) if max(len(old), len(new)) > _WIDTH else 0
    return _cut(old, cut), _cut(new, cut)


def _text(value: Any) -> str:
    return "(not set)" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


def _cut(text: str, start: int) -> str:
    head, rest = "…" if start else "", text[start:]
    return head + (rest if len(rest) <= _WIDTH else rest[: _WIDTH - 1] + "…")
