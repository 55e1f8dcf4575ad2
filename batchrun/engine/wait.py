"""From an interaction's id to its durable answer: poll until it stops, is lost, or is late. Polls cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from batchrun.engine import polling
from batchrun.engine.attempt import Attempt, Work
from batchrun.engine.events import Landed, Polled, PollFailed
from batchrun.engine.keep import Keeper
from batchrun.engine.key import KeyProbe
from batchrun.engine.latency import Latencies, Timing
from batchrun.engine.limits import Lease
from batchrun.engine.means import Means
from batchrun.engine.pace import Pace
from batchrun.engine.project import ENOUGH
from batchrun.errors import CredentialError, HeldError, RefusedError, RowError
from batchrun.interactions.evidence import Answer
from batchrun.interactions.models import Interaction
from batchrun.rows import Finish, Outcome
from batchrun.store.records import AttemptState, RowRecord

_LOOK = "It is kept: see `batchrun show`; `batchrun retry --ambiguous --anew` sends the row again"


class NotYet(Exception):
    """There is no answer so far, and nobody waits for one."""


class Waiter:
    """Fetches answers. `polling` are the tasks that wait for one. If the run is not patient it waits for none: what an
    earlier run submitted is polled once, what this one did not at all. Polls start at `pace`."""

    def __init__(self, work: Work, means: Means, keeper: Keeper, key: KeyProbe, pace: Pace) -> None:
        spec = self._spec = work.spec
        self._work, self._keeper, self._key, self._steering = work, keeper, key, means.steering
        self._store, self._client, self._wall, self._observe = means.store, means.client, means.wall, means.observe
        self._pace, self._hints = pace, means.hints
        self._latencies = Latencies(spec.poll)
        self.polling: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._last_answered = float("-inf")
        self._unknown_earlier: set[int] = set()
        self._knows_earlier = False

    def trust_the_key(self) -> None:
        """The run was made with it: what the service does not know any more is gone, and no other project's."""
        self._knows_earlier = True

    def leave(self) -> None:
        """Wait for nothing any more: the run is detached."""
        for task in self._idle:
            task.cancel()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Inside nothing is under way that a row could not be left over. Raises NotYet if it is."""
        task = asyncio.current_task()
        assert task is not None
        self._idle.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._steering.detached:
                raise
            task.uncancel()
            raise NotYet from None
        finally:
            self._idle.discard(task)

    async def answer(self, row: RowRecord, attempt: Attempt) -> Interaction:
        """The attempt's answer; its raw bytes are durable when this returns. Raises RowError or RunError, NotYet."""
        if attempt.answer is not None:
            return attempt.answer
        if self._steering.detached or not (self._steering.patient or attempt.resumed):
            raise NotYet
        task = asyncio.current_task()
        assert task is not None
        self.polling.add(task)
        try:
            found = await self._wait(row, attempt)
            return (await self._keeper.keep(row, attempt, found)).named(attempt.interaction_id)
        finally:
            self.polling.discard(task)

    async def _wait(self, row: RowRecord, attempt: Attempt) -> Answer:
        """Poll until the interaction stops. Raises RowError if there will be no answer, RunError if none can come."""
        patience = polling.Patience(self._work.of(row).spec, self._wall(), attempt.submitted_at)
        clock = asyncio.get_running_loop().time
        timing = self._timing(attempt, clock())
        while True:
            with self._waiting():
                await self._hints.until(attempt.interaction_id, self._pause(timing, patience))
                lease = await self._pace.start()
            poll = await self._poll(row, attempt, lease)
            timing.saw(poll, clock())
            if isinstance(poll, polling.NotFound) and poll.forbidden and await self._key.accepted() is False:
                raise _key_refused(poll)
            match patience.judge(poll, self._wall()):
                case Answer() as answer:
                    return answer
                case polling.Verdict.LATE:
                    return await self._time_out(row, attempt)
                case polling.Verdict.LOST | polling.Verdict.EXPIRED if await self._key.accepted() is None:
                    continue  # a service that does not say whether it takes the key has not lost anything for certain
                case polling.Verdict.WAIT:
                    self._slow_down(row, attempt, poll)
                    if self._steering.detached or not (self._steering.patient or patience.doubtful):
                        raise NotYet
                case verdict:
                    await self._stop_the_run(verdict, poll, patience)
                    raise await self._given_up(verdict, row, attempt, poll)

    def _pause(self, timing: Timing, patience: polling.Patience) -> float:
        """Seconds until the next poll. Where hints tell of nearly every end, polls only make sure."""
        wait = timing.wait(asyncio.get_running_loop().time())
        if wait > 0 and self._hints.reliable and not patience.doubtful:
            return max(wait, self._spec.poll.ceiling)
        return wait

    def _timing(self, attempt: Attempt, now: float) -> Timing:
        """When to poll. `now` is the loop's time, which does not jump as the wall's does."""
        age = max(0.0, self._wall() - attempt.submitted_at)
        return Timing(self._spec.poll, self._latencies.of(attempt.kind), now - age, attempt.id, resumed=attempt.resumed)

    async def _poll(self, row: RowRecord, attempt: Attempt, lease: Lease) -> polling.Poll:
        call = await self._client.get(attempt.interaction_id)
        attempt.polls += 1
        self._observe(Polled(row.key, row.stage, attempt.interaction_id))
        poll = polling.of_poll(call, attempt.interaction_id, self._wall(), attempt.intent_key)
        self._note(attempt, poll, lease)
        return poll

    def _note(self, attempt: Attempt, poll: polling.Poll, lease: Lease) -> None:
        """What a poll tells about the service, whichever row it was for."""
        if isinstance(poll, polling.NoAnswer):
            lease.give_back()
        else:
            lease.accepted()
        if isinstance(poll, Answer | polling.Running):
            self._last_answered = self._wall()
        if isinstance(poll, Answer) and not attempt.resumed:
            self._hints.answered(attempt.interaction_id)
        if attempt.resumed and self._wall() < attempt.submitted_at + self._spec.poll.retention:
            self._note_earlier(attempt, poll)

    def _note_earlier(self, attempt: Attempt, poll: polling.Poll) -> None:
        """One earlier interaction that is still known shows that the key is the right one."""
        if isinstance(poll, Answer | polling.Running):
            self._knows_earlier = True
            self._unknown_earlier.clear()
        elif isinstance(poll, polling.NotFound) and not self._knows_earlier:
            self._unknown_earlier.add(attempt.id)

    def _slow_down(self, row: RowRecord, attempt: Attempt, poll: polling.Poll) -> None:
        """A server's own delay holds the polls of every row."""
        if isinstance(poll, polling.NoAnswer | polling.NotFound):
            self._observe(PollFailed(row.key, str(poll), row.stage, attempt.interaction_id))
        if isinstance(poll, polling.NoAnswer) and poll.retry_after:
            self._pace.pause(min(poll.retry_after, self._spec.retry.server_ceiling))

    async def _stop_the_run(self, verdict: polling.Verdict, poll: polling.Poll, patience: polling.Patience) -> None:
        """Raises RunError where no answer will come for a reason that is nothing about this row."""
        refused = verdict in (polling.Verdict.LOST, polling.Verdict.EXPIRED) and not await self._key.accepted()
        if verdict is polling.Verdict.DENIED or refused:
            raise _key_refused(poll)
        if verdict is polling.Verdict.UNREACHABLE and self._last_answered < patience.silent_since:
            raise RefusedError(f"Polls get no answer: {poll}. Rows stay resumable; run the same command again.")
        if verdict is polling.Verdict.LOST and len(self._unknown_earlier) >= ENOUGH:
            raise CredentialError(
                f"The service knows none of {len(self._unknown_earlier)} interactions that an earlier run submitted: "
                f"is this the API key of another project? Nothing was given up ({poll})."
            )

    async def _given_up(
        self, verdict: polling.Verdict, row: RowRecord, attempt: Attempt, poll: polling.Poll
    ) -> RowError:
        """No answer will come: the row's end, on record."""
        if verdict is polling.Verdict.EXPIRED:
            return await self._ended(row, attempt, AttemptState.LOST, "expired", self._expired(attempt, poll))
        if verdict is polling.Verdict.LOST:
            said = f"the service accepted {attempt.interaction_id} and no longer knows it: {poll}"
            return await self._ended(row, attempt, AttemptState.LOST, "lost", said)
        if isinstance(poll, polling.Foreign):
            return await self._held_foreign(row, attempt, poll)
        said = f"polls of {attempt.interaction_id} never got an answer that can be used: {poll}"
        if isinstance(poll, polling.NoAnswer) and poll.raw is not None:
            unread = Answer(poll.raw, Interaction({}))
            await self._keeper.keep(row, attempt, unread, Finish(Outcome.FAILED, "no_answer", said))
            return RowError("no_answer", said)
        return await self._ended(row, attempt, AttemptState.TIMED_OUT, "no_answer", said)

    def _expired(self, attempt: Attempt, poll: polling.Poll) -> str:
        age = (self._wall() - attempt.submitted_at) / 86400
        return (
            f"billed, and its result is gone: {attempt.interaction_id} was submitted {age:.1f} days ago, and the "
            f"service keeps results for {self._spec.poll.retention / 86400:g} (poll.retention): {poll}. "
            "`batchrun retry --anew` pays for it again"
        )

    async def _held_foreign(self, row: RowRecord, attempt: Attempt, poll: polling.Foreign) -> HeldError:
        """What the service shows is kept, and believed by nobody: neither paid for again nor taken for the answer."""
        said = f"the service shows another's interaction under {attempt.interaction_id}: {poll}. {_LOOK}"
        unread = Answer(poll.raw, Interaction({}))
        await self._keeper.keep(row, attempt, unread, Finish(Outcome.AMBIGUOUS, "label_mismatch", said))
        return HeldError("label_mismatch", said)

    async def _ended(self, row: RowRecord, attempt: Attempt, state: AttemptState, kind: str, said: str) -> RowError:
        """Billed, perhaps, and without an answer: never sent again by itself."""
        end = Finish(Outcome.FAILED, kind, said)
        await self._store.gone(attempt.id, row.id, state, attempt.polls, end, self._wall())
        seconds = self._wall() - attempt.submitted_at
        self._observe(Landed(row.key, None, row.stage, attempt.interaction_id, seconds, attempt.polls))
        return RowError(kind, said)

    async def _time_out(self, row: RowRecord, attempt: Attempt) -> Answer:
        """Past the deadline: cancel, look once more, keep an answer that came after all."""
        await self._client.cancel(attempt.interaction_id)
        poll = await self._poll(row, attempt, await self._pace.start())
        deadline = self._work.of(row).spec.poll.deadline
        said = f"no answer within {deadline:g} s of its submission; it was cancelled ({poll})"
        if not isinstance(poll, Answer):
            raise await self._ended(row, attempt, AttemptState.TIMED_OUT, "timed_out", said)
        if poll.interaction.status != "cancelled":
            return poll
        await self._keeper.keep(row, attempt, poll, Finish(Outcome.FAILED, "timed_out", said))
        raise RowError("timed_out", said)


def _key_refused(poll: polling.Poll) -> CredentialError:
    return CredentialError(f"The service does not accept the API key: {poll}. Rows stay resumable.")
