"""The command that says what a run has cost: `cost`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import options
from batchrun.cli.bills import cost_line
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import say, say_json
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.runs.costs import Spent

_HEADS = ("", "interactions", "input", "output", "thought", "cached", "dollars")


@click.command(short_help="What a run has cost so far.")
@options.run_choice
@options.as_json
def cost(choice: RunChoice, as_json: bool) -> None:
    """What a run has cost so far, by stage and model: interactions, tokens, US dollars.

    It is counted from the usage that the service has reported, with the prices of `limits.prices` or those that come
    with batchrun. A bill is the service's to make: taxes, discounts and free quotas are not in it. Nothing is sent.
    """
    from batchrun.runs.costs import spent_of
    from batchrun.runs.directory import EMULATED, require_job
    from batchrun.store.damage import explained
    from batchrun.store.reader import Reader

    job = choice.load()
    directory = choice.directory(job)
    with explained(directory.checkpoint), Reader(directory.checkpoint) as reader, reader.snapshot():
        require_job(job, directory, reader)
        emulated, found = reader.meta("target") == EMULATED, list(spent_of(job, reader))
    if as_json:
        say_json({"emulated": emulated, "spent": [_document(spent) for spent in found]})
    else:
        say("\n".join(_lines(found, emulated=emulated)))


def _lines(found: Sequence[Spent], *, emulated: bool) -> Iterator[str]:
    if found:
        width = max(len(spent.stage) for spent in found)
        yield from _table([_HEADS, *(_cells(spent, width) for spent in found)])
    yield cost_line([each for spent in found for each in spent.costs], emulated=emulated)
    if under_way := sum(spent.interactions - len(spent.costs) for spent in found):
        yield f"not counted: {counted(under_way, 'interaction')} without an answer so far"
    if doubtful := sum(spent.doubtful for spent in found):
        yield f"not counted: {counted(doubtful, 'POST')} of which nobody can tell; see `batchrun resolve`"
    if replaced := sum(spent.replaced for spent in found):
        yield f"of these {counted(replaced, 'interaction')} replaced by others: failed, or asked anew"


def _cells(spent: Spent, width: int) -> tuple[str, ...]:
    tokens = (f"{spent.tokens[kind]:,}" for kind in _HEADS[2:6])
    name = f"{spent.stage.ljust(width)}  {spent.model}" if width else spent.model
    return name, f"{spent.interactions:,}", *tokens, f"{spent.dollars:,.6f}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Names to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *figures in rows:
        cells = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *cells])


def _document(spent: Spent) -> dict[str, Any]:
    return {
        "stage": spent.stage,
        "model": spent.model,
        "interactions": spent.interactions,
        "replaced": spent.replaced,
        "doubtful": spent.doubtful,
        "tokens": dict(spent.tokens),
        "usd": float(spent.dollars),
        "without_price": spent.costs.count(None),
    }
