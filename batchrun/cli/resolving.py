"""The command about POSTs of unknown fate: resolve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from batchrun.cli import completing, options
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import say, say_json, shortened
from batchrun.clock import wall_clock
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.aftercare.resolution import Doubts
    from batchrun.store.resolution import Doubt

_WIDTH = 160


@click.command(short_help="Say what became of a POST that is in doubt.")
@options.run_choice
@click.argument("key", required=False, shell_complete=completing.rows)
@click.option("--id", "interaction_id", metavar="ID", help="Its interaction, which you have found by its label.")
@click.option("--lost", is_flag=True, help="Give it up: the row ends as failed, and is not sent again.")
@click.option("--resubmit", is_flag=True, help="Send the row again with the next run; perhaps billed twice.")
@options.service
@options.as_json
def resolve(
    choice: RunChoice,
    key: str | None,
    interaction_id: str | None,
    lost: bool,
    resubmit: bool,
    base_url: str | None,
    api_version: str,
    as_json: bool,
) -> None:
    """Say what became of a POST of which nobody can tell whether it was billed. Without KEY, list them.

    Nothing is sent but a look at the interaction that --id names, and its label has to be the POST's own. The next
    `run` then fetches its answer, and pays for nothing again.
    """
    from batchrun.aftercare import resolution
    from batchrun.cli.ending import run_words
    from batchrun.runs.directory import EMULATED
    from batchrun.runs.options import service_of
    from batchrun.runs.scheduled import note_reopened

    decided = _check_words(key, interaction_id, lost, resubmit)
    loaded = choice.load()
    directory = choice.directory(loaded)
    found = resolution.open_doubts(directory)
    if key is None:
        if as_json:
            say_json(_document(found))
        else:
            say("\n".join(_list(found, choice.words(emulated=found.target == EMULATED))))
        return
    if interaction_id is not None:
        service = service_of(loaded, directory, base_url, api_version)
        status = resolution.find(loaded, directory, service, key, interaction_id)
        said = f"row {key}: {interaction_id} is its interaction ({status}); nothing was paid for"
    elif lost:
        resolution.give_up(loaded, directory, key, wall_clock())
        said = f"row {key}: given up; it ends as failed (given_up), and may have been billed"
    else:
        resolution.send_again(loaded, directory, key, wall_clock())
        said = f"row {key}: to be sent again, perhaps billed twice; nothing was sent yet"
    note_reopened(loaded, directory)
    if as_json:
        say_json({"key": key, "resolved": decided})
        return
    say(said)
    if not lost:
        say(f"Go on with: batchrun run {run_words(choice, found.target)}")


def _check_words(key: str | None, interaction_id: str | None, lost: bool, resubmit: bool) -> str:
    """What is asked for, if it is one thing."""
    asked = [
        name for name, wish in (("id", interaction_id is not None), ("lost", lost), ("resubmit", resubmit)) if wish
    ]
    if key is None and asked:
        raise click.UsageError(f"--{asked[0]} needs the KEY of a row")
    if key is not None and len(asked) != 1:
        raise click.UsageError("say one of --id ID, --lost and --resubmit")
    return "".join(asked)


def _document(found: Doubts) -> list[dict[str, object]]:
    from batchrun.reports.rows import utc

    return [
        {
            "key": doubt.key,
            "label": doubt.intent_key,
            "at": utc(doubt.intent_at),
            "evidence": doubt.evidence,
            "model": doubt.model,
            "held": doubt.held,
            "sent_again": again,
            **_price(found, doubt),
        }
        for again, doubts in ((False, found.doubts), (True, found.again))
        for doubt in doubts
    ]


def _price(found: Doubts, doubt: Doubt) -> dict[str, float | None]:
    dollars, most = found.at_risk(doubt)
    amount = None if dollars is None else float(dollars)
    return {"mean_cost_usd": None if most else amount, "most_cost_usd": amount if most else None}


def _list(found: Doubts, same: str) -> Iterator[str]:
    """Every POST in doubt: its row, its label, when it was made, and why nobody can tell. `same` names the run."""
    for doubt in found.again:
        yield from _told(doubt, ", sent again")
    for doubt in found.doubts:
        yield from _told(doubt, "" if doubt.held else ", pending")
    if found.again:
        yield f"{counted(len(found.again), 'POST')} of unknown fate sent again{_at_risk(found, found.again)}"
    if not found.doubts:
        yield "No POST waits for a decision of yours." if found.again else "No POST is in doubt."
        return
    yield f"{counted(len(found.doubts), 'POST')} in doubt{_at_risk(found, found.doubts)}"
    yield "Look for the label batchrun-intent in the service's logs. For each row say one of:"
    yield f"  batchrun resolve {same} KEY --id ID      it is this interaction; its answer is fetched for nothing"
    yield f"  batchrun resolve {same} KEY --lost       give it up"
    yield f"  batchrun resolve {same} KEY --resubmit   send it again, perhaps billed twice"


def _told(doubt: Doubt, state: str) -> Iterator[str]:
    from batchrun.reports.rows import utc

    yield f"row {doubt.key}: {doubt.intent_key}, {utc(doubt.intent_at)}{state}"
    yield f"  {shortened(doubt.evidence or 'the process died before it could tell', _WIDTH)}"


def _at_risk(found: Doubts, doubts: Sequence[Doubt]) -> str:
    """What they may have cost: by what others of this run have, else at most."""
    known = [(dollars, most) for dollars, most in map(found.at_risk, doubts) if dollars is not None]
    if not known:
        return "; what they may have cost is unknown"
    more = "" if len(known) == len(doubts) else ", some unknown"
    bounded = any(most for _, most in known)
    how, by = ("at most", "in the standard tier") if bounded else ("about", "by the mean of this run")
    return f"; if all were billed, {how} ${sum(dollars for dollars, _ in known):.6f} {by}{more}"
