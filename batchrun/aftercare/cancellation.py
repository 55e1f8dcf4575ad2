"""Stopping what a run has in flight at the service. What was never sent stays pending; what was answered is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from batchrun.aftercare.calls import PAUSES, Calls, for_each
from batchrun.clock import wall_clock
from batchrun.engine import polling
from batchrun.engine.attempt import under_way
from batchrun.engine.keep import Keeper
from batchrun.engine.means import Means
from batchrun.errors import Exit, SpecError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Answer
from batchrun.outputs.summary import Summary
from batchrun.rows import Finish, Outcome
from batchrun.runs.directory import RunDir
from batchrun.runs.exports import current_outputs
from batchrun.runs.flowing import flowing
from batchrun.runs.opening import OpenRun, open_existing
from batchrun.runs.options import Options, client_for
from batchrun.runs.run import run_fast
from batchrun.runs.signals import stoppable, stopping_at_once
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.store.records import AttemptRecord

_CANCELLED = Finish(Outcome.FAILED, "cancelled", "the interaction was cancelled at the service: `batchrun cancel`")


class Fate(StrEnum):
    """What became of an interaction that was asked to stop.

    ANSWERED: it came to its end before the cancel did, and its answer is kept. UNKNOWN: the service does not tell.
    """

    CANCELLED = "cancelled"
    ANSWERED = "answered"
    RUNNING = "running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """One interaction that was asked to stop; `said` is how the service last described it."""

    key: str
    interaction_id: str
    fate: Fate
    said: str


@dataclass(frozen=True)
class Cancelled:
    """What came of a cancel. `summary` is where every row of the run stands now.

    `nameless` counts the run's POSTs of unknown fate: what they made, if anything, cannot be asked to stop.
    """

    asked: tuple[Asked, ...]
    nameless: int
    summary: Summary

    @property
    def fates(self) -> Counter[Fate]:
        return Counter(each.fate for each in self.asked)

    @property
    def unsettled(self) -> list[Asked]:
        """Those that may still be running."""
        return [each for each in self.asked if each.fate in (Fate.RUNNING, Fate.UNKNOWN)]

    @property
    def exit_code(self) -> Exit:
        return Exit.SOME_ROWS_FAILED if self.unsettled else Exit.OK

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        counts = {str(fate): self.fates[fate] for fate in Fate}
        rows = [asdict(each) for each in self.asked]
        return {**counts, "pending": self.summary.pending, "nameless": self.nameless, "interactions": rows}


def cancel(
    job: Job,
    directory: RunDir,
    options: Options,
    keys: Sequence[str] = (),
    wall: Callable[[], float] = wall_clock,
    run_async: Callable[[Coroutine[Any, Any, list[Asked]]], list[Asked]] = run_fast,
) -> Cancelled:
    """Ask the service to stop the interactions in flight (of the rows with these keys, or of all), and see if they did.

    Raises SpecError for an unknown key, LockedError while the run goes on, RunError if the service cannot be asked.
    """
    with stopping_at_once(), open_existing(job, directory) as opened:
        attempts = _in_flight(opened.reader, keys)
        asked: list[Asked] = []
        if attempts:
            client = client_for(options)
            opened.store.begin_epoch()
            with flowing(opened, wall):  # what follows from rows that end now is told why it does not
                asked = run_async(stoppable(_cancel_all(opened, client, attempts, wall)))
        with stopping_at_once():  # the loop has reset the handlers
            return Cancelled(tuple(asked), opened.reader.count_nameless(), current_outputs(opened))


def _in_flight(reader: Reader, keys: Sequence[str]) -> list[AttemptRecord]:
    unknown = [key for key in keys if reader.standing(key) is None]
    if unknown:
        raise SpecError(f"no row has the key {unknown[0]!r}; nothing was cancelled.")
    return [attempt for attempt in reader.in_flight() if not keys or attempt.key in keys]


async def _cancel_all(
    opened: OpenRun, client: Client, attempts: list[AttemptRecord], wall: Callable[[], float]
) -> list[Asked]:
    try:
        return await Cancellation(opened, client, wall).run(attempts)
    finally:
        await opened.store.drain()
        await client.aclose()


class Cancellation:
    """Asks every interaction to stop, then looks what each has come to, in a few rounds.

    The answer to a cancel proves nothing: a cancelled interaction has answered it with 404, 499 and 500. A GET does.
    """

    def __init__(self, opened: OpenRun, client: Client, wall: Callable[[], float]) -> None:
        self._store, self._reader, self._client, self._wall = opened.store, opened.reader, client, wall
        self._at_once = opened.job.spec.limits.posts
        self._calls = Calls(opened.job.spec, wall)
        means = Means(opened.store, opened.reader, client, wall, opened.random)
        self._keeper = Keeper(means, opened.directory.media, lambda *_: None)
        self._asked: dict[int, Asked] = {}
        self._polls: Counter[int] = Counter()

    async def run(self, attempts: Sequence[AttemptRecord]) -> list[Asked]:
        """What became of each. The answers of those that have stopped are durable."""
        await for_each(attempts, self._ask, self._at_once)
        left = list(attempts)
        for number, pause in enumerate(PAUSES, 1):
            await asyncio.sleep(pause)
            await for_each(left, partial(self._look, last=number == len(PAUSES)), self._at_once)
            left = [each for each in left if self._asked[each.id].fate in (Fate.RUNNING, Fate.UNKNOWN)]
            if not left:
                break
        return [self._asked[attempt.id] for attempt in attempts]

    async def _ask(self, attempt: AttemptRecord) -> None:
        assert attempt.interaction_id is not None
        await self._calls.make(partial(self._client.cancel, attempt.interaction_id))

    async def _look(self, attempt: AttemptRecord, *, last: bool) -> None:
        assert attempt.interaction_id is not None
        call = await self._calls.make(partial(self._client.get, attempt.interaction_id))
        self._polls[attempt.id] += 1
        poll = polling.of_poll(call, attempt.interaction_id, self._wall(), attempt.intent_key)
        fate = Fate.UNKNOWN
        if isinstance(poll, polling.Running) or (isinstance(poll, Answer) and _is_early(poll) and not last):
            fate = Fate.RUNNING
        elif isinstance(poll, Answer):
            fate = await self._keep(attempt, poll)
        self._asked[attempt.id] = Asked(attempt.key, attempt.interaction_id, fate, str(poll))

    async def _keep(self, attempt: AttemptRecord, answer: Answer) -> Fate:
        """Make the answer durable. Only a cancelled one ends its row: the next `run` judges any other."""
        row = self._reader.row(attempt.key)
        assert row is not None
        known = under_way(row)
        assert known is not None
        known.polls = self._polls[attempt.id]
        stopped = answer.interaction.status == "cancelled"
        await self._keeper.keep(row, known, answer, _CANCELLED if stopped else None)
        return Fate.CANCELLED if stopped else Fate.ANSWERED


def _is_early(answer: Answer) -> bool:
    """True for an answer whose usage may follow in a moment."""
    return answer.interaction.status == "completed" and answer.interaction.usage is None
