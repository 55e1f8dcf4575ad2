"""One measured figure, and the table of all of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Figure:
    """`ok` is None for a figure that has no target and is shown for comparison. `note` says how it came about."""

    name: str
    target: str
    measured: str
    ok: bool | None
    note: str = ""

    @property
    def verdict(self) -> str:
        return {True: "ok", False: "missed", None: "–"}[self.ok]


def table(figures: Sequence[Figure]) -> str:
    """The figures as aligned lines for a terminal."""
    rows = [("figure", "target", "measured", ""), *((f.name, f.target, f.measured, f.verdict) for f in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def document(figures: Sequence[Figure]) -> str:
    """The figures as `RESULTS.md`."""
    rows = [f"| {f.name} | {f.target} | {f.measured} | {f.verdict} |" for f in figures]
    notes = [f"- {f.name}: {f.note}" for f in figures if f.note]
    head = ["# Results", "", f"{machine()}. Made by `make bench`; do not edit.", ""]
    head += ["| figure | target | measured | |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", *notes, ""])


def machine() -> str:
    """When and on what this was measured."""
    today = datetime.now(UTC).date().isoformat()  # noqa: TID251
    cores = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"{today}, {cores}, {platform.system()}, {platform.python_implementation()} {platform.python_version()}"
