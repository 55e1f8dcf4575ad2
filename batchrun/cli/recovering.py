"""`batchrun recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import say, say_json
from batchrun.clock import wall_clock
from batchrun.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchrun.aftercare.recovery import Recovered

_SHOWN = 5


@click.command(short_help="Make a checkpoint anew that was lost.")
@options.run_choice
@click.option("--accept-damage", is_flag=True, help="Go on with a damaged ledger: some rows may be paid again.")
@options.as_json
def recover(choice: RunChoice, accept_damage: bool, as_json: bool) -> None:
    """Make a run's checkpoint anew after run.db was lost, damaged, or replaced by an old copy.

    It is made from run.ledger, which has the id of every interaction, and the input. Nothing is sent; the next `run`
    fetches the answers again, for free, as long as the service keeps them. If only run.ledger is lost, that is made
    anew.
    """
    from batchrun.aftercare.recovery import recover as recover_run
    from batchrun.cli.ending import run_words

    job = choice.load()
    directory = choice.directory(job)
    found = recover_run(job, directory, wall_clock(), accept_damage=accept_damage)
    if as_json:
        say_json({**vars(found), "aside": [str(path) for path in found.aside]})
    else:
        say("\n".join(_lines(found, run_words(choice, found.target))))


def _lines(found: Recovered, words: str) -> Iterator[str]:
    if found.ledger_anew:
        yield "run.ledger was lost, and is made anew from run.db, which is whole"
    again = "" if found.ledger_anew else " again"
    yield f"{counted(found.rows, 'row')}: {counted(found.submitted, 'interaction')} to fetch{again}, for free"
    if found.doubtful:
        said = "were made or not, nobody can tell: the job's retry.ambiguous decides"
        yield f"{counted(found.doubtful, 'POST')} whose id the ledger does not have {said}"
    if found.later:
        yield f"{counted(found.later, 'row')} of later stages: fetched as the rows are that they follow from"
    if found.gone:
        names = ", ".join(repr(key) for key in found.gone[:_SHOWN]) + (" …" if len(found.gone) > _SHOWN else "")
        told = f"{counted(len(found.gone), 'row')} that the input does not have"
        yield f"{told}: {names}. What they cost is kept, and their answers are fetched if they come back"
    if found.edited:
        names = ", ".join(map(repr, found.edited[:_SHOWN])) + (" …" if len(found.edited) > _SHOWN else "")
        said = "may have been edited since it was sent: `batchrun run` compares, and tells what is asked otherwise"
        yield f"the input of {counted(len(found.edited), 'row')} {said} ({names})"
    for path in found.aside:
        yield f"kept the damaged file as {path}"
    yield f"Go on with: batchrun run {words}"
