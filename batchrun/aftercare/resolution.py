"""POSTs of unknown fate, resolved by the user: found by its id, given up, or sent again. Only `find` asks the service.

Nothing here makes a POST. What the user decides is on record before it has an effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from batchrun.aftercare.calls import PAUSES, Calls, told
from batchrun.clock import wall_clock
from batchrun.engine import polling
from batchrun.errors import RefusedError, SpecError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import INTENT_LABEL, Reply, is_passing
from batchrun.interactions.models import Interaction, usable_id
from batchrun.prices.table import Prices, load_prices
from batchrun.rows import Finish, Outcome
from batchrun.runs.bills import cost_of
from batchrun.runs.budgets import most_unseen
from batchrun.runs.directory import RunDir
from batchrun.runs.exports import current_outputs
from batchrun.runs.flowing import flowing
from batchrun.runs.opening import OpenRun, open_existing
from batchrun.runs.options import Options, client_for
from batchrun.runs.run import run_fast
from batchrun.runs.signals import stoppable, stopping_at_once
from batchrun.spec.load import Job
from batchrun.store import resolution
from batchrun.store.reader import Reader
from batchrun.store.resolution import Doubt

#: How a row ends whose POST the user has given up.
GIVEN_UP = Finish(
    Outcome.FAILED, "given_up", "nobody can tell whether it was billed; given up: `batchrun resolve --lost`"
)
RunAsync = Callable[[Coroutine[Any, Any, str]], str]


@dataclass(frozen=True, slots=True)
class Doubts:
    """The POSTs of unknown fate: `doubts` are those whose rows were not sent again, `again` the others; and the run's
    target. `mean` is what an interaction with each model has cost in this run, in dollars, where that is known."""

    doubts: tuple[Doubt, ...]
    again: tuple[Doubt, ...]
    target: str
    mean: dict[str, Decimal]
    prices: Prices

    def at_risk(self, doubt: Doubt) -> tuple[Decimal | None, bool]:
        """What a POST may have cost in dollars, None if nothing is known of it; and whether that is the most it may."""
        if (mean := self.mean.get(doubt.model or "")) is not None:
            return mean, False
        return most_unseen(self.prices, doubt.model, doubt.tokens, doubt.intent_at, tiers=("standard",)), True


def open_doubts(directory: RunDir) -> Doubts:
    """Raises SpecError if there is no run."""
    with Reader(directory.checkpoint) as reader:
        doubts, again = tuple(resolution.doubts(reader)), tuple(resolution.sent_again(reader))
        models, prices = {doubt.model or "" for doubt in (*doubts, *again)}, load_prices()
        means = _means(reader, models, prices) if models else {}
        return Doubts(doubts, again, reader.meta("target") or "", means, prices)


def _means(reader: Reader, models: set[str], prices: Prices) -> dict[str, Decimal]:
    costs: dict[str, list[Decimal]] = {}
    for attempt in reader.attempts():
        if attempt.model in models and (cost := cost_of(attempt, prices)) is not None:
            costs.setdefault(attempt.model or "", []).append(cost.total)
    return {model: sum(each, Decimal(0)) / len(each) for model, each in costs.items()}


def find(
    job: Job,
    directory: RunDir,
    options: Options,
    key: str,
    interaction_id: str,
    wall: Callable[[], float] = wall_clock,
    run_async: RunAsync = run_fast,
) -> str:
    """Take an interaction that the user has found as that of a row's doubtful POST. Returns its status.

    Its label has to be the POST's own. Raises SpecError if it is not, or for a row that is in no doubt; LockedError
    while the run goes on; RunError if the service cannot be asked.
    """
    if usable_id(interaction_id) is None:
        raise SpecError(f"{interaction_id[:80]!r} cannot be the id of an interaction; nothing was recorded.")
    with _opened(job, directory, key) as (opened, doubt):
        known = resolution.owner(opened.reader, interaction_id=interaction_id)
        if known is not None:
            raise SpecError(f"{interaction_id} is known as that of row {known!r}; nothing was recorded.")
        client = client_for(options)
        opened.store.begin_epoch()
        status = run_async(stoppable(_find(opened, client, doubt, interaction_id, wall)))
        with stopping_at_once():  # the loop has reset the handlers
            current_outputs(opened)
        return status


def give_up(job: Job, directory: RunDir, key: str, at: float) -> None:
    """End a row whose POST is taken for lost. Raises SpecError, LockedError."""
    with _opened(job, directory, key) as (opened, doubt), flowing(opened, lambda: at):
        opened.store.begin_epoch()
        resolution.give_up(opened.store, doubt, GIVEN_UP, at)
        current_outputs(opened)


def send_again(job: Job, directory: RunDir, key: str, at: float) -> None:
    """Let the next run send a row again, though its POST may have been billed. Raises SpecError, LockedError."""
    with _opened(job, directory, key) as (opened, doubt):
        opened.store.begin_epoch()
        resolution.send_again(opened.store, doubt, at)
        current_outputs(opened)


@contextmanager
def _opened(job: Job, directory: RunDir, key: str) -> Iterator[tuple[OpenRun, Doubt]]:
    """The run, and the doubtful POST of a row. Raises SpecError where there is none."""
    with stopping_at_once(), open_existing(job, directory) as opened:
        doubt = next(resolution.doubts(opened.reader, key), None)
        if doubt is None:
            raise SpecError(_in_no_doubt(opened.reader, key))
        yield opened, doubt


def _in_no_doubt(reader: Reader, key: str) -> str:
    row = reader.row(key)
    if row is None:
        return f"no row has the key {key!r}; nothing was recorded. `batchrun resolve JOB` lists the POSTs in doubt."
    if row.error_class == "function_interrupted":
        said = "it is held for a function's sake, not for money's; see `batchrun retry --ambiguous`"
    elif row.outcome is None:
        said = "it is pending, and none of its POSTs is in doubt"
    else:
        said = f"it is {row.outcome.replace('_', ' ')}, and none of its POSTs waits for a word"
    return f"row {key!r} needs no resolving: {said}; nothing was recorded."


async def _find(opened: OpenRun, client: Client, doubt: Doubt, interaction_id: str, wall: Callable[[], float]) -> str:
    try:
        interaction = await _look(opened, client, doubt, interaction_id, wall)
        if wrong := _wrong_label(opened.reader, doubt, interaction):
            raise SpecError(
                f"{interaction_id} is not the interaction of row {doubt.key!r}: {wrong}; nothing was recorded."
            )
        await resolution.found(opened.store, doubt, interaction_id)
        return interaction.status or "unknown"
    finally:
        await opened.store.drain()
        await client.aclose()


async def _look(
    opened: OpenRun, client: Client, doubt: Doubt, interaction_id: str, wall: Callable[[], float]
) -> Interaction:
    """The interaction as the service has it. Raises SpecError if it has none, RefusedError if it does not tell."""
    calls = Calls(opened.job.spec, wall)
    for pause in PAUSES:
        await asyncio.sleep(pause)
        call = await calls.make(partial(client.get, interaction_id))
        if not is_passing(call):
            break
    else:
        raise RefusedError(f"The service does not tell of {interaction_id}: {told(call)}. Nothing was recorded.")
    poll = polling.of_poll(call, interaction_id, wall(), doubt.intent_key)
    if isinstance(call, Reply) and not isinstance(poll, polling.NoAnswer | polling.NotFound | polling.Denied):
        return Interaction.parse(call.body) or Interaction({})
    raise SpecError(f"the service has no interaction {interaction_id} for this API key ({poll}); nothing was recorded.")


def _wrong_label(reader: Reader, doubt: Doubt, interaction: Interaction) -> str | None:
    """Why an interaction cannot be that of a POST; None if its label is the POST's own, which no other one has."""
    label = interaction.label(INTENT_LABEL)
    if label == doubt.intent_key:
        return None
    if label is None:
        return f"it has no label {INTENT_LABEL}, so nothing proves that it is"
    other = resolution.owner(reader, intent_key=label)
    whose = f"row {other!r}" if other is not None else "something else"
    return f"its label {INTENT_LABEL} is {label[:80]!r} ({whose}), not {doubt.intent_key!r}"
