"""A row's life, from top to bottom in `carry`: submit, wait, decide. One row is one coroutine.

`submit.py` makes the POST, `wait.py` polls, `calls.py` runs the user's functions, `conversation.py` decides. What has
happened is in the store before the next step begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from batchrun.engine import conversation
from batchrun.engine.attempt import Attempt, Stage, Work
from batchrun.engine.calls import Caller
from batchrun.engine.conversation import Again, Decision, RunFunctions
from batchrun.engine.dials import Dials
from batchrun.engine.events import RowEnded, Salvaged, Stopping
from batchrun.engine.keep import Keeper
from batchrun.engine.key import KeyProbe
from batchrun.engine.limits import Limits
from batchrun.engine.means import Means
from batchrun.engine.pace import Pace
from batchrun.engine.post import Poster
from batchrun.engine.project import Project
from batchrun.engine.request import as_read
from batchrun.engine.room import Room
from batchrun.engine.salvage import Salvage
from batchrun.engine.shelter import Shelter
from batchrun.engine.submit import Submitter
from batchrun.engine.supply import Supply
from batchrun.engine.talk import Talk, resumed, word_on
from batchrun.engine.transforming import Transformer
from batchrun.engine.wait import NotYet, Waiter
from batchrun.errors import (
    BudgetError,
    HeldError,
    InvariantError,
    ModelError,
    QuotaError,
    RowError,
    RunError,
    store_error_of,
)
from batchrun.interactions.models import FunctionCall
from batchrun.rows import Finish, Outcome
from batchrun.store.records import AttemptState, RowRecord

_RESUBMITS_OF_A_ROW = 3
#: No request reads as much as `limits.tpm` allows in this time.
_LATELY_SECONDS = 3600.0


class Engine:
    """Carries every pending row to its outcome."""

    def __init__(self, work: Work, means: Means) -> None:
        self.work = work
        self.failure: RunError | None = None
        self.leaving = False
        self._shelter, self._steering = Shelter(), means.steering
        self._pace = Pace(Limits(work.spec.limits.rpm, work.spec.limits.tpm), steering=means.steering)
        self._paces = {name: self._pace_of(stage) for name, stage in work.stages.items()}
        self._keeper = Keeper(means, work.answers, work.budget_of)
        self.poster = Poster(work, means, self._keeper, self._paces, self._shelter)
        key = KeyProbe(means.client)
        self._submitter = Submitter(work, means, self.poster, self._pace, self._shelter, key)
        polls = Pace(Limits(work.spec.poll.rpm))
        self._salvage = Salvage(means, polls, work.spec.retry.ambiguous.wait)
        self._waiter = Waiter(work, means, self._keeper, key, polls)
        self._callers = {
            name: Caller(stage.toolbox, stage.request.function_calling, means, self._shelter)
            for name, stage in work.stages.items()
            if stage.toolbox is not None
        }
        self._transformer = Transformer()
        self._project = Project(means, run_id=work.run_id, retention=work.spec.poll.retention)
        self._store, self._reader, self._wall, self._observe = means.store, means.reader, means.wall, means.observe
        self._room = Room(work.spec.limits.in_flight)
        self.dials = Dials(self._paces, self._pace, self._resize, work.budgets, means.steering)
        self._resubmits_left = work.spec.retry.ambiguous.allowance(work.rows) - work.resubmits
        self._tasks: set[asyncio.Task[None]] = set()
        self._carried: set[int] = set()
        self._left: set[int] = set()
        self._unsent: dict[int, asyncio.Task[None]] = {}
        self._put_back: set[int] = set()
        self._used_up: dict[str, BudgetError] = {}
        self._supply = Supply(work, means.reader, self._carried, self._used_up.keys())
        self._has_ended = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._feeds_earlier = True

    async def run(self, limit: int | None = None) -> None:
        """Carry all rows (of the first `limit`). Raises the RunError that stopped the run; rows stay resumable."""
        if self.work.resumed:
            self._pace.go_on(self._spent(), refused=self.work.refused)
            for pace in set(self._paces.values()) - {self._pace}:
                pace.go_on(refused=False)
        self._feeder = asyncio.create_task(self._feed(limit))
        await asyncio.wait([self._feeder])
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._store.drain()
        if failure := self.failure or next(iter(self._used_up.values()), None):
            raise failure
        if not self._feeder.cancelled():
            self._feeder.result()

    def _spent(self) -> list[tuple[float, float, float | None]]:
        """How long ago POSTs read how much, as far as that bears upon when the next may start.

        What lies far in the future was noted by a clock that was wrong, and bears upon nothing.
        """
        if self.work.spec.limits.tpm is None:
            return []
        now = self._wall()
        lately = self._reader.tokens_read(now - _LATELY_SECONDS)
        return [(max(0.0, now - at), guess, real) for at, guess, real in lately if at - now < _LATELY_SECONDS]

    async def _feed(self, limit: int | None) -> None:
        """Start rows as fast as they fit in flight: first what an earlier run left under way, then the rest."""
        if await self._project.check():
            self._waiter.trust_the_key()
        for waiting in (True, False):
            self._feeds_earlier = waiting
            if not waiting:
                self._shelter.require_open()
            self._supply.read(under_way=waiting, limit=limit)
            while (row := await self._next()) is not None:
                self._start(as_read(row))

    async def _next(self) -> RowRecord | None:
        """The next row, with room in flight for it; None when none is left, and none can follow or be put back."""
        while True:
            if not await self._room.take():
                return None
            self._has_ended.clear()
            if (row := self._supply.next()) is not None:
                return row if self._feeds_earlier or await self._steering.may_begin() else None
            self._room.give_back()
            if self._feeds_earlier or not self._tasks:
                return None
            await self._has_ended.wait()

    def stop(self, reason: RunError) -> None:
        """Send nothing more; let open POSTs answer; leave the rest to the next run."""
        self._shelter.evacuated = True
        self._stop_sending(reason)
        self.leaving = True
        for task in self._tasks - self._shelter.tasks:
            task.cancel()

    def send_no_more(self) -> None:
        """Send nothing more; what is in flight, and functions that run, go on."""
        self._shelter.closed = True
        for task in self._tasks - self._shelter.tasks - self._waiter.polling:
            task.cancel()
        if self._feeder is not None and (self._shelter.evacuated or not self._feeds_earlier):
            self._feeder.cancel()

    def drain(self) -> None:
        """Begin no further row; those of which something was sent go on to their end."""
        self._steering.drain()
        for _, task in self._not_sent():
            task.cancel()
        if self._feeder is not None and not self._feeds_earlier:
            self._feeder.cancel()

    def _not_sent(self) -> list[tuple[int, asyncio.Task[None]]]:
        """The rows that were begun and of which nothing was sent, by their ids, in the order of their beginning."""
        return [(row_id, task) for row_id, task in self._unsent.items() if task not in self._shelter.tasks]

    def _resize(self, places: int | None) -> int:
        """Have so many rows in flight. Those of which nothing was sent make way, and begin anew when there is room."""
        before = self._room.places
        self._room.resize(before if places is None else places)
        for row_id, task in self._not_sent()[::-1][: self._room.over]:
            self._put_back.add(row_id)
            task.cancel()
        return before

    def detach(self) -> None:
        """Submit what there is room for, and wait for no answer."""
        self._steering.detach()
        self._waiter.leave()

    @property
    def open_posts(self) -> int:
        """How many POSTs, and functions, are under way."""
        return len(self._shelter.tasks)

    @property
    def places(self) -> int:
        """How many rows may be in flight."""
        return self._room.places

    @property
    def ends(self) -> bool:
        """Whether it sends nothing more, whatever is said to it."""
        return self._shelter.closed

    def _stop_sending(self, reason: RunError) -> None:
        """No row is sent any more; those in flight are polled to their end, also if an earlier run submitted them."""
        if self.failure is None:
            self.failure = reason
            self._observe(Stopping(str(reason)))
        self.send_no_more()

    def _start(self, row: RowRecord) -> None:
        if (budget := self.work.budget_of(row)) is not None:
            budget.resume(row.id)
        task = asyncio.create_task(self.carry(row))
        self._tasks.add(task)
        self._carried.add(row.id)
        if row.attempt is None and self.work.of(row).transform is None:
            self._unsent[row.id] = task
        task.add_done_callback(partial(self._ended, row))

    def _ended(self, row: RowRecord, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._carried.discard(row.id)
        self._unsent.pop(row.id, None)
        if row.id in self._left:
            self._room.leave()
        else:
            self._room.give_back()
        if row.id in self._put_back:
            self._put_back.discard(row.id)
            self._supply.follow([row.id])
        self._has_ended.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BudgetError) and error.stage:
            self._used_up.setdefault(error.stage, error)
        elif isinstance(error, QuotaError | ModelError | BudgetError):
            self._stop_sending(error)
        elif isinstance(error, RunError):
            self.stop(error)
        elif error is not None:
            said = f"batchrun itself failed: {type(error).__name__}: {error}. Please report this."
            broken = store_error_of(error) or InvariantError(said)
            broken.__cause__ = error
            self.stop(broken)

    async def carry(self, row: RowRecord) -> None:
        """One row, from where it stands to its outcome."""
        stage = self.work.of(row)
        if stage.transform is not None:
            return await self._finish(row, *await self._transformer.run(stage, row))
        talk = resumed(row, self._reader)
        while True:
            try:
                decision = await self._decide(row, talk)
                match decision:
                    case Finish():
                        return await self._finish(row, decision, self._output(row, talk, decision))
                    case Again():
                        await self._store.supersede(talk.thrown_away(), self._wall())
                    case _ if talk.at_purged and stage.request.store:
                        await self._store.begin_anew(row.id, self._wall())
                        talk.begin_anew()
                    case RunFunctions() if talk.asked:
                        talk.carried_out(())  # they ran, and the service has their results
                    case RunFunctions(calls):
                        talk.carried_out(await self._run_functions(row, talk, calls))
                    case _ if talk.asked:
                        talk.attempt = talk.asked.pop(0)
                    case ask:
                        talk.number += 1
                        talk.attempt = await self._submitter.submit(row, talk.number, talk.exchanges, ask)
                        self._unsent.pop(row.id, None)
            except NotYet:
                return await self._leave(row)
            except RowError as error:  # its end may be stored already, with the attempt's; the same again does no harm
                return await self._finish(row, _end_by(error))

    async def _decide(self, row: RowRecord, talk: Talk) -> Decision:
        """What follows from the attempt under way: its answer judged, or the policy for one whose fate is unknown."""
        stage = self.work.of(row)
        script = stage.script_for(row)
        if talk.attempt is not None:
            if talk.attempt.state is AttemptState.AMBIGUOUS and not await self._salvaged(row, talk.attempt):
                talk.doubts += 1
                return self._after_ambiguous(stage, talk.attempt, talk.doubts)
            attempt_id, answer = talk.attempt.id, await self._waiter.answer(row, talk.attempt)
            answer = await self._keeper.complete_media(row, attempt_id, answer)
            talk.answered(answer, word_on(attempt_id, self._reader) if script.plans else None)
        attempts_left = stage.spec.retry.attempts - 1 - talk.strikes
        check = stage.check_for(row)
        try:
            return conversation.after(talk.exchanges, script, check, attempts_left=attempts_left)
        except conversation.UNREADABLE as error:
            why = f"batchrun cannot make sense of the answer ({type(error).__name__}: {error}). It is kept; report this"
            raise RowError("unreadable_answer", why) from error

    async def _run_functions(self, row: RowRecord, talk: Talk, calls: Sequence[FunctionCall]) -> list[dict[str, Any]]:
        return await self._callers[row.stage].results(row, talk.exchanges[-1].attempt_id, calls)

    async def _salvaged(self, row: RowRecord, attempt: Attempt) -> bool:
        found = self.work.of(row).request.store and await self._salvage.submitted(attempt)
        if found:
            self._observe(Salvaged(row.key, attempt.interaction_id, row.stage))
        return found

    def _after_ambiguous(self, stage: Stage, attempt: Attempt, doubts: int) -> Decision:
        """Pay perhaps twice, within the allowance, or hold the row: as the job says.

        `doubts` counts the row's POSTs of unknown fate: one poisonous row must not use up the others' allowance.
        """
        reason = attempt.evidence or "unknown"
        policy = stage.spec.retry.ambiguous
        wish = policy.agent if attempt.agent else policy.model
        if wish == "resubmit" and self._resubmits_left > 0 and doubts <= _RESUBMITS_OF_A_ROW:
            self._resubmits_left -= 1
            return Again(reason)
        advice = "`batchrun resolve` tells what you can do"
        message = f"nobody can tell whether this POST was billed: {reason}. {advice}"
        return Finish(Outcome.AMBIGUOUS, "ambiguous", message)

    async def _leave(self, row: RowRecord) -> None:
        """The row stays pending, for a later run to go on with; its place in flight stays taken."""
        self._left.add(row.id)
        if (budget := self.work.budget_of(row)) is not None:
            await budget.close(row.id)

    async def _finish(self, row: RowRecord, end: Finish, output: str | None = None) -> None:
        self._supply.follow(await self._store.finish(row.id, end, self._wall(), output))
        if (budget := self.work.budget_of(row)) is not None:
            await budget.close(row.id)
        self._observe(RowEnded(row.key, end.outcome, end.kind, end.message, row.stage))

    def _output(self, row: RowRecord, talk: Talk, end: Finish) -> str | None:
        """What other stages are made of, as JSON."""
        output_of = self.work.of(row).output_of
        return output_of(row, talk.last) if output_of and end.outcome is Outcome.SUCCEEDED else None

    def _pace_of(self, stage: Stage) -> Pace:
        own = Limits(stage.limits.rpm, stage.limits.tpm)
        if (stage.limits.rpm, stage.limits.tpm) == (None, None):
            return self._pace
        return Pace(own, self._pace, self._steering)


def _end_by(error: RowError) -> Finish:
    if isinstance(error, HeldError):
        return Finish(Outcome.AMBIGUOUS, error.kind, str(error))
    return Finish(Outcome.BLOCKED if error.kind in conversation.BLOCKING else Outcome.FAILED, error.kind, str(error))
