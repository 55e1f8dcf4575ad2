"""The transforms of grade_gsm8k.yaml: find the number in an answer, grade it, count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

#: A number as people write it: 1,250 or -3.50, with or without a currency before it.
_NUMBER = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?")


def number(row: dict[str, Any]) -> dict[str, str | None]:
    """The result that an answer gives: the first number after `####`, else the last one in it, else null."""
    return {"result": result_of(row["stages"]["answer"]["output"])}


def grade(row: dict[str, Any]) -> dict[str, Any]:
    """Whether that is the result that the row itself knows."""
    given, truth = row["stages"]["number"]["output"]["result"], result_of(row["answer"])
    right = given is not None and truth is not None and Decimal(given) == Decimal(truth)
    return {"given": given, "truth": truth, "right": right}


def accuracy(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """How many rows there are, how many of them are right, and the share of these."""
    grades = [row["stages"]["grade"]["output"]["right"] for row in rows]
    return {"problems": len(grades), "right": sum(grades), "accuracy": sum(grades) / len(grades)}


def result_of(text: str) -> str | None:
    """A number as a decimal such as `1250.5`."""
    _, marked, after = text.rpartition("####")
    found = _NUMBER.findall(after)
    if not found:
        return None
    return str(found[0] if marked else found[-1]).replace(",", "")
