"""The scoreboard on its page: a row a figure, with the day and commit of its making. A new one replaces its own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.figures import Figure

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- scoreboard: begin -->\n", "<!-- scoreboard: end -->"
_HEAD = ("| figure | target | measured | | made |", "|---|---|---|---|---|")


def publish(figures: Sequence[Figure], made: str) -> None:
    """Put the figures on their page; those of other proofs stay."""
    PAGE.write_text(updated(PAGE.read_text(), figures, made))


def updated(page: str, figures: Sequence[Figure], made: str) -> str:
    """The page with these figures. `made` says when, on what and from which commit."""
    before, _, rest = page.partition(BEGIN)
    board, _, after = rest.partition(END)
    rows = {line.split(" | ")[0]: line for line in board.splitlines() if line.startswith("| ")}
    rows |= {f"| {figure.name}": _row(figure, made) for figure in figures}
    rows.pop("| figure", None)
    made_again = tuple(f"- {figure.name}: " for figure in figures)
    notes = [line for line in board.splitlines() if line.startswith("- ") and not line.startswith(made_again)]
    notes += [f"- {figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([f"{before}{BEGIN}", *_HEAD, *sorted(rows.values()), "", *sorted(notes), f"\n{END}{after}"])


def commit() -> str:
    """The commit that stands here, with a mark if the tree has changes of its own besides this page."""
    name = _told("rev-parse", "--short", "HEAD")
    changed = _told("status", "--porcelain", "--untracked-files=no", "--", ":/", f":!/docs/{PAGE.name}")
    return f"{name}-dirty" if changed else name or "no commit"


def _told(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, cwd=PAGE.parent).stdout.strip()


def _row(figure: Figure, made: str) -> str:
    return f"| {figure.name} | {figure.target} | {figure.measured} | {'met' if figure.met else 'missed'} | {made} |"
