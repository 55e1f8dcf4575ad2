"""Tables with named columns: CSV and the like, tables with bars. Their records, if the names fit what is wanted."""

from __future__ import annotations

import csv
from collections.abc import Collection
from io import StringIO

from batchrun.emulator.replies.names import name_words

_MARKS = (",", ";", "\t", "|")
_FIRST_LINES = 30
_MOST_RECORDS = 500
_WIDEST = 100


def records(text: str, wanted: Collection[str]) -> list[dict[str, str]]:
    """The records below the first line that names at least two of the wanted columns."""
    names = {" ".join(name_words(name)) for name in wanted}
    lines = text.split("\n")
    for number, line in enumerate(lines[:_FIRST_LINES]):
        for mark in _MARKS:
            heads = [" ".join(name_words(cell)) for cell in _cells(line, mark)]
            if len(names & set(heads)) >= 2:
                return _below(lines[number + 1 :], mark, heads)
    return []


def _below(lines: list[str], mark: str, heads: list[str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for line in lines[: _MOST_RECORDS + 1]:
        cells = _cells(line, mark)
        if len(cells) != len(heads):
            break
        if any(cell.strip("-: ") for cell in cells):  # not the rule below the head of a Markdown table
            found.append(dict(zip(heads, cells, strict=True)))
    return found


def _cells(line: str, mark: str) -> list[str]:
    if mark not in line:
        return []
    if mark == "|":
        line = line.strip().strip("|")
    try:
        row = next(csv.reader(StringIO(line[:4000]), delimiter=mark), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row[:_WIDEST]]
