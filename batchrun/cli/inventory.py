"""The command `runs`: what there is under a directory, as a table that any terminal can hold."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.output import output
from batchrun.cli.printing import note, say, say_json
from batchrun.clock import wall_clock
from batchrun.glyphs import columns, padded, safe, wrapped

if TYPE_CHECKING:
    from batchrun.reports.inventory import Found

_HEADS = ("state", "done", "failed", "in flight", "age", "cost")
#: Those that a very narrow terminal is not told, the first of them first.
_LEAST = (5, 3, 4)
#: Columns of a terminal that a directory wants beside the figures; with less it has a line of its own.
_ROOM = 24
_ENDLESS = 100_000


@click.command(short_help="The runs below a directory.")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.option("--all", "tries", is_flag=True, help="Also those of `batchrun try`.")
@options.as_json
def runs(directory: Path, tries: bool, as_json: bool) -> None:
    """The runs under DIRECTORY (this one without it), the newest first: state, progress, age and directory.

    A run is running, paused (with or without a process), stopped (rows are pending, some perhaps in flight at the
    service, or none was taken in so far), held (rows wait for you), finished, damaged, or unreadable. Nothing is
    changed or made.
    """
    from batchrun.reports.inventory import DEEPEST, MOST, Search, found_in

    search = Search(directory, tries)
    found = sorted(map(found_in, search.directories()), key=lambda each: (-each.changed, str(each.directory)))
    if search.given_up:
        note(f"{directory}: not all of it was looked at: {DEEPEST} levels and {MOST:,} directories are; name one below")
    if as_json:
        say_json([each.document() for each in found])
    elif found:
        say("\n".join(table(found, directory, wall_clock(), _width())))
    else:
        say(f"{directory}: no runs")


def _width() -> int:
    shown = output() or sys.stdout
    return shutil.get_terminal_size().columns if shown.isatty() else _ENDLESS


def table(found: Sequence[Found], top: Path, now: float, width: int) -> Iterator[str]:
    """A line for each run, or two where it is narrow; what else is to be said of one is below it."""
    cells = [_HEADS, *(_cells(each, now) for each in found)]
    sizes = {n: max(columns(row[n]) for row in cells) for n in range(len(_HEADS)) if any(row[n] for row in cells[1:])}
    for least in _LEAST:
        if sum(sizes.values()) + 2 * len(sizes) > width:
            sizes.pop(least, None)
    kept, used = list(sizes), sum(sizes.values()) + 2 * len(sizes)
    beside = width - used >= _ROOM
    for row, each in zip(cells, (None, *found), strict=True):
        figures = "  ".join(padded(row[n], sizes[n]) if n in (0, 5) else row[n].rjust(sizes[n]) for n in kept)
        name = "directory" if each is None else _shown(each.directory, top)
        if beside:
            first, *rest = wrapped(name, width - used, 10)
            yield f"{figures}  {first}".rstrip()
            yield from (" " * used + line for line in rest)
        else:
            yield figures.rstrip()
            yield from (f"  {line}" for line in wrapped(name, max(width - 2, 10), 10))
        if each is not None and (said := each.reason or each.holder):
            yield from (f"  {line}" for line in wrapped(_one_line(said), max(width - 2, 10), 4))


def _cells(each: Found, now: float) -> tuple[str, ...]:
    known = each.reason is None
    return (
        each.state,
        f"{each.done:,}/{each.rows:,}" if known else "",
        f"{each.failed + each.held:,}" if each.failed + each.held else "",
        f"{each.in_flight:,}" if each.in_flight else "",
        age(now - each.changed),
        "" if each.charged_usd is None else f"${each.charged_usd:,.2f}",
    )


def age(seconds: float) -> str:
    """`42s`, `5m`, `3h`, `12d`: how long ago something was."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def _shown(directory: Path, top: Path) -> str:
    inside = directory.relative_to(top)
    return _one_line(str(inside if inside.parts else directory))


def _one_line(text: str) -> str:
    return safe(text).replace("\n", "\\n")
