"""One figure of the scoreboard, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was tried how often, and what came of it; `met` says whether the target is reached.

    `note` says what a reader has to know to believe it.
    """

    name: str
    target: str
    measured: str
    met: bool
    note: str = ""


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines for a terminal."""
    rows = [("figure", "target", "measured", ""), *((f.name, f.target, f.measured, _verdict(f)) for f in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _verdict(figure: Figure) -> str:
    return "met" if figure.met else "missed"
