"""Lines of the keys of a TOML text. The standard parser keeps none, so this reads headers and `key =` again. Pure.

A best effort for messages: what it does not see is reported at the line of the table around it.
"""

from __future__ import annotations

import re
from collections import Counter

from batchrun.spec.reading.positions import KeyPath

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY})\s*\]\]?")
_ASSIGNMENT = re.compile(rf"\s*({_KEY})\s*=")
_QUOTES = re.compile(r'"""|\'\'\'')


def toml_lines(text: str) -> dict[KeyPath, int]:
    """The 1-based line of each key path."""
    lines: dict[KeyPath, int] = {(): 1}
    tables: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    for number, line in _outside_long_strings(text):
        if header := _HEADER.match(line):
            table = _table(header, tables)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_steps(assignment[1])), number)
    return lines


def _table(header: re.Match[str], tables: Counter[KeyPath]) -> KeyPath:
    path: KeyPath = ()
    for step in _steps(header[2])[:-1]:
        path = (*path, step)
        if tables[path]:
            path = (*path, tables[path] - 1)
    path = (*path, _steps(header[2])[-1])
    if header[1] == "[[":
        tables[path] += 1
        path = (*path, tables[path] - 1)
    return path


def _steps(key: str) -> list[str]:
    return [part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key)]


def _outside_long_strings(text: str) -> list[tuple[int, str]]:
    kept, inside = [], ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not inside:
            kept.append((number, line))
        for quotes in _QUOTES.findall(line):
            inside = quotes if not inside else "" if quotes == inside else inside
    return kept
